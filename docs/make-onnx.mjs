// Writes the table of operators into docs/onnx.md: npm run docs:onnx
import { fileURLToPath } from 'node:url'
import { supportTable } from '../dist/lib/operators/support.js'
import { rewriteMarked } from '../dist/lib/report/marks.js'

await rewriteMarked(fileURLToPath(new URL('onnx.md', import.meta.url)), { operators: supportTable() })
