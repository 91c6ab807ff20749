import { join } from 'node:path'
import t from 'tap'
import { checkNetwork } from './check.js'

// The smallest of the real networks; test/long has the others.
const path = join(
  import.meta.dirname,
  '..',
  '..',
  'node_modules',
  '@gutenye',
  'ocr-models',
  'assets',
  'ch_ppocr_mobile_v2.0_cls_infer.onnx'
)

t.test('PP-OCR classification, as PaddlePaddle exports it: weights in Constant nodes, open dimensions', async (t) => {
  await checkNetwork(t, { path, dims: [2, 3, 48, 192] })
})
