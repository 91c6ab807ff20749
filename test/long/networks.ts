import { execFile } from 'node:child_process'
import { access, mkdir, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { checkNetwork } from '../models/check.js'

// Well-known networks: those PyTorch exports (made here, with random weights, where python3 has torch), those of ONNX's backend tests
// (POLYADIC_LIGHT_MODELS: the folder that holds light_*.onnx), PP-OCR. POLYADIC_NETWORKS=vgg,alex runs those whose names hold one of these.
const here = dirname(fileURLToPath(import.meta.url))
const generated = join(here, '..', 'models', 'generated')
const torchNetworks = ['alexnet', 'vgg16', 'resnet18', 'resnet18-bn', 'squeezenet', 'mobilenetv2', 'mobilenetv2-bn']
const ocr = join(here, '..', '..', 'node_modules', '@gutenye', 'ocr-models')
const image = [1, 3, 224, 224]

const wanted = (process.env.POLYADIC_NETWORKS ?? '').split(',')
const isWanted = (name: string): boolean => wanted.some((part) => name.includes(part))
const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false
  )

t.test('as PyTorch exports them', async (t) => {
  await mkdir(generated, { recursive: true })
  const python = process.env.POLYADIC_TORCH_PYTHON ?? '/usr/bin/python3'
  for (const name of torchNetworks.filter(isWanted)) {
    const path = join(generated, `${name}.onnx`)
    if (!(await exists(path))) {
      const script = join(here, '..', 'models', 'export_torch.py')
      const made = await promisify(execFile)(python, [script, generated, name.replace('-bn', '')]).catch((error: Error) => error)
      if (made instanceof Error && /No module named .torch/.test(made.message)) return t.comment('SKIPPED: needs a Python with torch')
      if (made instanceof Error) throw made
    }
    await t.test(name, (t) => checkNetwork(t, { path, dims: image }))
  }
})

t.test("those of ONNX's backend tests", async (t) => {
  const folder = process.env.POLYADIC_LIGHT_MODELS
  if (folder === undefined) return t.comment('SKIPPED: needs POLYADIC_LIGHT_MODELS')
  const files = (await readdir(folder)).filter((name) => name.startsWith('light_') && name.endsWith('.onnx'))
  for (const name of files.filter(isWanted)) await t.test(name, (t) => checkNetwork(t, { path: join(folder, name), dims: image }))
})

t.test('PP-OCR', async (t) => {
  const cases = [
    ['ch_PP-OCRv4_det_infer', [1, 3, 320, 352], true],
    ['ch_PP-OCRv4_rec_infer', [1, 3, 48, 320], false],
    ['ch_ppocr_mobile_v2.0_cls_infer', [2, 3, 48, 192], false]
  ] as const
  const solver = { method: 'nls', maxIterations: 30 } as const
  for (const [name, dims, strokes] of cases) {
    if (isWanted(name)) await t.test(name, (t) => checkNetwork(t, { path: join(ocr, 'assets', `${name}.onnx`), dims, strokes, solver }))
  }
})
