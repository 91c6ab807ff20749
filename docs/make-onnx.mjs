// Writes the table of operators into docs/onnx.md: npm run docs:onnx
import { readFileSync, writeFileSync } from 'node:fs'
import { supportTable } from '../dist/lib/operators/support.js'

const file = new URL('onnx.md', import.meta.url)
const [begin, end] = ['<!-- operators: begin -->', '<!-- operators: end -->']
const text = readFileSync(file, 'utf8')
const [before, rest] = text.split(begin)
const after = rest?.split(end)[1]
if (before === undefined || after === undefined) throw new Error(`${file.pathname}: the marks around the table are missing`)
writeFileSync(file, `${before}${begin}\n${supportTable()}\n${end}${after}`)
