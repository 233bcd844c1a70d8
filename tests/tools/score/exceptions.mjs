// SPDX-License-Identifier: Apache-2.0
// Expectations of the pair corpora that are wrong: exceptions.json, with the reason of each. want and got narrow one down: regular
// expressions on the expected and our values (lists joined by commas).
import fs from 'node:fs'

export const exceptions = JSON.parse(fs.readFileSync(new URL('exceptions.json', import.meta.url), 'utf8')).map(x => {
  for (const k of ['vendor', 'field', 'reason', 'example']) if (!x[k]) throw new Error(`exceptions.json: an entry without ${k}`)
  return { ...x, used: 0, wantRe: new RegExp(x.want || ''), gotRe: new RegExp(x.got || '') }
})

// The exception that names this miss, if one does.
export const exceptionOf = (vendor, field, want, got) =>
  exceptions.find(x => x.vendor === vendor && x.field === field && x.wantRe.test(want.join(',')) && x.gotRe.test((got || []).join(',')))
