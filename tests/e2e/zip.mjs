// SPDX-License-Identifier: Apache-2.0
// Reads a ZIP file (XLSX) by its central directory: name -> text.
import zlib from 'node:zlib';

export function unzip(b) {
  const out = {};
  let end = b.length - 22;
  while (end >= 0 && b.readUInt32LE(end) !== 0x06054b50) end--;
  if (end < 0) throw new Error('not a ZIP file');
  let at = b.readUInt32LE(end + 16);
  for (let i = b.readUInt16LE(end + 10); i > 0; i--) {
    if (b.readUInt32LE(at) !== 0x02014b50) throw new Error('the central directory is damaged');
    const [method, packed, nameLength, local] = [b.readUInt16LE(at + 10), b.readUInt32LE(at + 20), b.readUInt16LE(at + 28), b.readUInt32LE(at + 42)];
    const from = local + 30 + b.readUInt16LE(local + 26) + b.readUInt16LE(local + 28);
    const data = b.subarray(from, from + packed);
    out[b.toString('utf8', at + 46, at + 46 + nameLength)] = (method === 8 ? zlib.inflateRawSync(data) : data).toString('utf8');
    at += 46 + nameLength + b.readUInt16LE(at + 30) + b.readUInt16LE(at + 32);
  }
  return out;
}

/** The rows of the first sheet: text as strings, numbers as numbers, { formula } for formulas. */
export function sheetRows(b) {
  const files = unzip(b);
  const entity = (t) => t.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&amp;/g, '&');
  return [...files['xl/worksheets/sheet1.xml'].matchAll(/<row [^>]*?(?:\/>|>(.*?)<\/row>)/gs)].map(([, row]) => {
    const cells = [];
    for (const [, ref, rest, body] of (row ?? '').matchAll(/<c r="([A-Z]+)\d+"([^>]*?)(?:\/>|>(.*?)<\/c>)/gs)) {
      const col = [...ref].reduce((n, ch) => n * 26 + ch.charCodeAt(0) - 64, 0) - 1;
      const v = /<f>/.test(body) ? { formula: body } : /t="inlineStr"/.test(rest) ? entity(/<t[^>]*>(.*?)<\/t>/s.exec(body)?.[1] ?? '') : Number(/<v>(.*?)<\/v>/.exec(body)?.[1]);
      cells[col] = v;
    }
    return cells;
  });
}
