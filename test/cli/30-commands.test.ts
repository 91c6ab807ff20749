import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { readNpy, writeNpy } from '../../lib/formats/npy.js'
import { readOnnx } from '../../lib/onnx/read.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import { cpu } from '../../lib/runtime/cpu.js'
import { floatTensor } from '../../lib/tensor.js'
import { polyadic, temporaryFolder } from '../helpers/cli.js'
import { noise, smallNetwork, writeQuadrants } from '../helpers/networks.js'

const folder = await temporaryFolder(t)
const file = (name: string): string => path.join(folder, name)
await writeOnnx(smallNetwork(), file('model.onnx'))
await writeQuadrants(file('data'), 400)
await writeNpy(file('x.npy'), floatTensor(noise(3 * 64, 7), [3, 1, 8, 8]))

t.test('inspect shows inputs, outputs, layers and totals', async (t) => {
  const { code, stdout, stderr } = await polyadic('inspect', file('model.onnx'))
  t.equal(code, 0, stderr)
  for (const word of ['image', 'N×1×8×8', 'probabilities', 'conv1', 'Conv', 'conv2', 'Softmax']) t.match(stdout, word)
  const json = JSON.parse((await polyadic('inspect', file('model.onnx'), '--json')).stdout)
  t.match(json, { parameters: 8 * 9 + 4 * 8 * 36 + 4, macs: 8 * 9 * 36 + 4 * 8 * 36 })
  t.strictSame(
    json.nodes.map((node: { name: string }) => node.name),
    ['conv1', 'relu1', 'conv2', 'flatten', 'softmax']
  )
  t.match(json.steps[0], { nodes: ['conv1', 'relu1'], op: 'convolution', kernel: /^direct 3x3/, why: [/^no Winograd form: /] })
  t.match(stdout, /conv1 \+1 +convolution +direct 3x3.*\n +· no Winograd form: /)
})

t.test('compress without data', async (t) => {
  const { code, stdout, stderr } = await polyadic(
    'compress',
    file('model.onnx'),
    '--rank',
    'conv2=6',
    '--when-slower',
    'replace',
    '-o',
    file('small.onnx'),
    '--report',
    file('report.html')
  )
  t.equal(code, 0, stderr)
  t.match(stdout, /conv2 .*4×8×6×6/)
  const graph = await readOnnx(file('small.onnx'))
  t.equal(graph.nodes.filter(({ opType }) => opType === 'Conv').length, 5)
  const html = await readFile(file('report.html'), 'utf8')
  t.match(html, /<svg/)
  t.notMatch(html, /NaN|undefined/)
})

t.test('compress with data fine-tunes; the result is seeded', async (t) => {
  const args = [
    '--rank',
    'conv2=2',
    '--when-slower',
    'replace',
    '--data',
    file('data'),
    '--epochs',
    '2',
    '--batch',
    '16',
    '--seed',
    '3',
    '--json'
  ]
  const first = await polyadic('compress', file('model.onnx'), ...args, '-o', file('tuned.onnx'))
  t.equal(first.code, 0, first.stderr)
  const result = JSON.parse(first.stdout)
  t.equal(result.training.epochs.length, 2)
  t.ok(result.training.validation_accuracy_after >= result.training.validation_accuracy_before)
  t.ok(result.after.parameters < result.before.parameters)
  await polyadic('compress', file('model.onnx'), ...args, '-o', file('again.onnx'))
  t.strictSame(await readFile(file('again.onnx')), await readFile(file('tuned.onnx')))
})

t.test('finetune with the rates of decomposed layers divided', async (t) => {
  const args = ['--data', file('data'), '--epochs', '1', '--batch', '16', '--scale-rates', '--json']
  const { code, stdout, stderr } = await polyadic('finetune', file('small.onnx'), ...args, '-o', file('trained.onnx'))
  t.equal(code, 0, stderr)
  const { stiffness } = JSON.parse(stdout).training ?? JSON.parse(stdout)
  t.ok(
    stiffness.length > 0 && stiffness.every((one: { nodes: string[]; stiffness: number }) => one.nodes.length > 2 && one.stiffness > 1),
    stdout
  )
  t.match(stderr, /learning rates were divided, from "conv2\/\w+" [\d.]+/)
  const dense = await polyadic('finetune', file('model.onnx'), ...args, '-o', file('trained.onnx'))
  t.match(dense.stderr, 'no learning rate was divided: there is no stiff chain of factors in the network')
})

t.test('finetune learns', async (t) => {
  const { code, stdout, stderr } = await polyadic(
    'finetune',
    file('model.onnx'),
    '--data',
    file('data'),
    '--epochs',
    '4',
    '--batch',
    '16',
    '--learning-rate',
    '0.02',
    '-o',
    file('trained.onnx'),
    '--json'
  )
  t.equal(code, 0, stderr)
  t.ok(JSON.parse(stdout).validation_accuracy_after > 90, stdout)
})

t.test('finetune towards a teacher, with options of all kinds; a checkpoint gives the same bits again', async (t) => {
  const args = '--epochs 2 --batch 16 --optimiser adamw --betas 0.8,0.99 --epsilon 1e-7 --learning-rate 0.005 --warm-up 0.2 --clip-norm 5'
  const more = '--average-decay 0.9 --sensitivity 1e-6 --no-balance --temperature 3 --label-weight 0.5 --max-rollbacks 2 --spike-factor 4'
  const others = ['--group', '/conv1/=0.5,0', '--feature', 'relu1=relu1', '--decay-biases', '--shape', '1x8x8', '--batch-norm', 'batch']
  const all = [
    'finetune',
    file('small.onnx'),
    '--data',
    file('data'),
    '--teacher',
    file('model.onnx'),
    ...args.split(' '),
    ...more.split(' ')
  ]
  const run = (...rest: string[]) => polyadic(...all, ...others, '--checkpoint', file('checkpoint'), '--json', ...rest)
  const relu1 = (await readOnnx(file('small.onnx'))).nodes.find(({ name }) => name === 'relu1')?.outputs[0] as string
  others[3] = `${relu1}=${relu1}`
  const first = await run('-o', file('distilled.onnx'), '--resume')
  t.equal(first.code, 0, first.stderr)
  t.match(first.stderr, /there is no checkpoint ".*checkpoint" yet: training begins at the start/)
  t.equal(JSON.parse(first.stdout).resumed_from_step, null)
  const again = await run('-o', file('resumed.onnx'), '--resume')
  t.equal(again.code, 0, again.stderr)
  t.match(again.stderr, /going on from the checkpoint ".*checkpoint"/)
  t.equal(JSON.parse(again.stdout).steps, JSON.parse(first.stdout).steps)
  t.equal(JSON.parse(again.stdout).resumed_from_step, JSON.parse(first.stdout).steps)
  t.strictSame(await readFile(file('resumed.onnx')), await readFile(file('distilled.onnx')))
  const frozen = await polyadic(
    'finetune',
    file('model.onnx'),
    '--data',
    file('data'),
    '--steps',
    '3',
    '--freeze',
    '/conv/',
    '-o',
    file('no.onnx')
  )
  t.equal(frozen.code, 1)
  t.match(frozen.stderr, /every parameter is frozen/)
})

t.test('run prints the largest values and writes .npy', async (t) => {
  const { code, stdout, stderr } = await polyadic('run', file('model.onnx'), '--input', file('x.npy'), '-o', file('y.npy'), '--top', '2')
  t.equal(code, 0, stderr)
  t.match(stdout, /probabilities: 3×4/)
  const y = await readNpy(file('y.npy'))
  t.strictSame(y.dims, [3, 4])
  for (let i = 0; i < 3; i++) t.ok(Math.abs([0, 1, 2, 3].reduce((sum, k) => sum + Number(y.data[4 * i + k]), 0) - 1) < 1e-5)
  const json = JSON.parse((await polyadic('run', file('model.onnx'), '--input', `image=${file('x.npy')}`, '--json')).stdout)
  t.equal(json.outputs[0].top.length, 3)
  t.equal(json.outputs[0].top[0].length, 4)
})

t.test('bench measures, compares and fails on a regression', async (t) => {
  const quick = ['--runs', '3', '--batch', '2']
  const { code, stdout, stderr } = await polyadic(
    'bench',
    file('model.onnx'),
    file('small.onnx'),
    ...quick,
    '--json',
    file('bench.json'),
    '--fail-above',
    '1e6'
  )
  t.equal(code, 0, stderr)
  t.match(stdout, 'small.onnx')
  const json = JSON.parse(await readFile(file('bench.json'), 'utf8'))
  t.match(json, { batch: 2, threads: 1, networks: [{ median_ms: Number }, { median_ms: Number }], ratio: Number })
  t.ok(Math.abs(json.ratio - json.networks[1].median_ms / json.networks[0].median_ms) < 1e-9)
  const slower = await polyadic('bench', file('model.onnx'), file('small.onnx'), ...quick, '--fail-above', '0.000001')
  t.equal(slower.code, 1)
  t.match(slower.stderr, /more than the .* allowed/)
})

t.test('no temporary files are left', async (t) => {
  t.strictSame(
    (await readdir(folder)).filter(
      (name) =>
        !/^(model|small|tuned|again|trained|distilled|resumed)\.onnx$|^(x|y)\.npy$|^report\.html$|^bench\.json$|^data$|^checkpoint$/.test(
          name
        )
    ),
    []
  )
})

t.test('--precision: what was used is told, weights are stored as asked', async (t) => {
  const run = await polyadic('run', file('model.onnx'), '--input', file('x.npy'), '--precision', 'bf16', '--json')
  t.equal(run.code, 0, run.stderr)
  const used = JSON.parse(run.stdout) as { precision: string; precisionReason?: string }
  const has = cpu().bf16 !== undefined
  t.equal(used.precision, has ? 'bf16' : 'f32')
  if (!has) t.match(used.precisionReason, 'no bf16')
  const seen = JSON.parse((await polyadic('inspect', file('model.onnx'), '--precision', 'bf16', '--json')).stdout)
  t.equal(seen.precision, used.precision)
  const args = ['--runs', '2', '--precision', 'f32', '--precision', 'auto', '--json', file('precision.json')]
  const measured = await polyadic('bench', file('model.onnx'), ...args)
  t.equal(measured.code, 0, measured.stderr)
  const { networks, ratio } = JSON.parse(await readFile(file('precision.json'), 'utf8'))
  t.match(networks, [{ precision: 'f32' }, { precision: /^(f32|bf16)$/ }])
  t.ok(ratio > 0)
  t.equal((await polyadic('bench', file('model.onnx'), '--precision', 'f16')).code, 2)
  const compressed = [
    'compress',
    file('model.onnx'),
    '--rank',
    'conv2=6',
    '--when-slower',
    'replace',
    '-o',
    file('half.onnx'),
    '--weights',
    'bfloat16'
  ]
  const { code, stderr } = await polyadic(...compressed, '--report', file('half.html'), '--precision', 'auto')
  t.equal(code, 0, stderr)
  const { initializers } = await readOnnx(file('half.onnx'))
  t.equal([...initializers.values()].filter(({ dtype }) => dtype === 'bfloat16').length, 5)
  const again = async (...weights: string[]): Promise<string[]> => {
    const half = ['compress', file('half.onnx'), '--rank', 'conv1=2', '--when-slower', 'replace', '-o', file('stored.onnx'), ...weights]
    const stored = await polyadic(...half)
    t.equal(stored.code, 0, stored.stderr)
    return [...new Set([...(await readOnnx(file('stored.onnx'))).initializers.values()].map(({ dtype }) => dtype))].sort()
  }
  t.strictSame(await again(), ['bfloat16', 'float32'], 'those that the network had stay')
  t.strictSame(await again('--weights', 'float32'), ['float32'])
  t.strictSame(await again('--weights', 'float16'), ['float16', 'float32'])
  const tune = ['finetune', file('half.onnx'), '--data', file('data'), '--steps', '2', '--batch', '16', '-o', file('again.onnx')]
  const halves = async (...more: string[]): Promise<number> => {
    const done = await polyadic(...tune, ...more)
    t.equal(done.code, 0, done.stderr)
    return [...(await readOnnx(file('again.onnx'))).initializers.values()].filter(({ dtype }) => dtype === 'bfloat16').length
  }
  t.equal(await halves(), 0, 'what was trained is float32')
  t.equal(await halves('--weights', 'bfloat16'), 5, 'unless it is asked for')
})
