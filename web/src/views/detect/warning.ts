// SPDX-License-Identifier: Apache-2.0
/** What the compiler says of a list behind %name%, in the reader's language; other texts as they are. */
export function listWarning(t: (key: string, named: Record<string, unknown>) => string, message: string) {
  const m = /^the list (%.*%) is (unknown|empty):/.exec(message)
  return m ? t('studio.list.' + m[2], { name: m[1] }) : message
}
