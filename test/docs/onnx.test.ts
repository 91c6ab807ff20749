import { readFileSync } from 'node:fs'
import t from 'tap'
import { supportTable } from '../../lib/operators/support.js'

const text = readFileSync(new URL('../../docs/onnx.md', import.meta.url), 'utf8')

void t.test('docs/onnx.md has the operators that are registered', (t) => {
  t.ok(text.includes(`<!-- operators: begin -->\n${supportTable()}\n<!-- operators: end -->`), 'otherwise: npm run docs:onnx')
  t.end()
})
