import { mkdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { readNpy, writeNpy } from '../../lib/formats/npy.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import { floatTensor } from '../../lib/tensor.js'
import { polyadic, temporaryFolder } from '../helpers/cli.js'
import { smallNetwork, writeQuadrantImages, writeQuadrants } from '../helpers/networks.js'

const folder = await temporaryFolder(t)
const file = (...names: string[]): string => path.join(folder, ...names)
await writeOnnx(smallNetwork(), file('model.onnx'))
const tuned = ['--batch', '16', '--learning-rate', '0.02', '-o', file('tuned.onnx')]

/** Runs `finetune` on a folder; what it printed, as JSON where it succeeded. */
async function finetune(data: string, ...more: string[]) {
  const { code, stdout, stderr } = await polyadic('finetune', file('model.onnx'), '--data', file(data), ...tuned, '--json', ...more)
  return { code, stderr, result: code === 0 ? JSON.parse(stdout) : undefined }
}

t.test('targets.npy: values by their mean squared difference', async (t) => {
  await writeQuadrants(file('values'), 200)
  await rm(file('values', 'labels.npy'))
  const wanted = Float32Array.from({ length: 200 * 4 }, (_, i) => ((i >> 2) % 4 === i % 4 ? 2 : -1))
  await writeNpy(file('values', 'targets.npy'), floatTensor(wanted, [200, 4]))
  const { code, stderr, result } = await finetune('values', '--epochs', '6')
  t.equal(code, 0, stderr)
  t.match(stderr, /validation loss [\d.]+ → [\d.]+/)
  t.match(result, { validation_accuracy_before: null, validation_accuracy_after: null })
  t.ok(result.validation_loss_after < 0.5 * result.validation_loss_before, JSON.stringify(result))
  const report = file('report.html')
  const compressed = await polyadic(
    ...['compress', file('model.onnx'), '--rank', 'conv2=2', '--when-slower', 'replace', '--data', file('values'), '--epochs', '1'],
    ...['--report', report, '-o', file('small.onnx')]
  )
  t.equal(compressed.code, 0, compressed.stderr)
  t.match(compressed.stdout, /fine-tuned +validation loss [\d.]+ → [\d.]+ on 20 examples/)
})

t.test('inputs alone: towards a teacher, which compress has by itself', async (t) => {
  await writeQuadrants(file('alone'), 200)
  await rm(file('alone', 'labels.npy'))
  const without = await finetune('alone')
  t.equal(without.code, 2)
  t.match(without.stderr, /neither labels\.npy nor targets\.npy.*--teacher/)
  const { code, stderr, result } = await finetune('alone', '--teacher', file('model.onnx'), '--epochs', '1')
  t.equal(code, 0, stderr)
  t.match(stderr, /agreement with the teacher/)
  t.equal(result.validation_accuracy_before, 100, 'it is its own teacher here')
  const compressed = await polyadic(
    ...['compress', file('model.onnx'), '--rank', 'conv2=3', '--when-slower', 'replace', '--data', file('alone'), '--epochs', '3'],
    ...['--batch', '16', '-o', file('small.onnx'), '--json']
  )
  t.equal(compressed.code, 0, compressed.stderr)
  const { training } = JSON.parse(compressed.stdout)
  t.ok(training.validation_accuracy_after >= training.validation_accuracy_before, compressed.stdout)
})

t.test('arrays that do not belong together', async (t) => {
  await writeQuadrants(file('both'), 20)
  const inputs = await readNpy(file('both', 'inputs.npy'))
  await writeNpy(file('both', 'targets.npy'), floatTensor(new Float32Array(20), [20]))
  t.match((await finetune('both')).stderr, /labels\.npy or targets\.npy, got both/)
  await rm(file('both', 'labels.npy'))
  await writeNpy(file('both', 'targets.npy'), floatTensor(new Float32Array(19), [19]))
  t.match((await finetune('both')).stderr, /targets\.npy.*expected 20 targets, one an input, got 19/)
  await rm(file('both', 'targets.npy'))
  await mkdir(file('both', 'validation'))
  await writeNpy(file('both', 'validation', 'inputs.npy'), inputs)
  await writeNpy(file('both', 'validation', 'targets.npy'), floatTensor(new Float32Array(20), [20]))
  const mixed = await finetune('both', '--teacher', file('model.onnx'))
  t.equal(mixed.code, 1)
  t.match(mixed.stderr, /validation.*expected inputs alone like the training set, got targets/)
  t.match((await finetune('both', '--mean', '0.5')).stderr, /--mean is for images/)
})

t.test('images in a folder a class', async (t) => {
  for (const [seed, part] of ['train', 'validation', 'test'].entries())
    await writeQuadrantImages(file('images', part), part === 'train' ? 12 : 4, seed)
  const run = () => finetune('images', '--epochs', '8', '--mean', '0.3', '--std', '0.3')
  const { code, stderr, result } = await run()
  t.equal(code, 0, stderr)
  t.ok(result.validation_accuracy_after > 90, JSON.stringify(result))
  t.ok(result.test_accuracy > 90, JSON.stringify(result))
  t.strictSame((await run()).result.validation_loss_after, result.validation_loss_after, 'shuffled by the seed')
  await rename(file('images', 'validation'), file('images', 'val'))
  const renamed = await run()
  t.equal(renamed.code, 0, renamed.stderr)
  t.match(renamed.stderr, /48 examples to train on, 16 for validation \(".*images\/val"\), 16 for the test/)
  await rename(file('images', 'val'), file('images', 'validation'))
  t.match((await finetune('images', '--std', '0')).stderr, /std.*positive/)
  t.match((await finetune('images', '--mean', '1,2')).stderr, /mean.*one a channel/)
  await rm(file('images', 'validation', 'quadrant 3'), { recursive: true })
  t.match((await finetune('images')).stderr, /validation.*expected the classes of the training set/)
  for (const part of ['train', 'test']) await rm(file('images', part, 'quadrant 3'), { recursive: true })
  const fewer = await finetune('images')
  t.match(fewer, { code: 1, stderr: /images": 3 folders of classes \(quadrant 0, quadrant 1, quadrant 2\), the network has 4 classes/ })
  await rm(file('images', 'validation'), { recursive: true })
  t.match((await finetune('images')).stderr, /validation.*cannot be read/)
})
