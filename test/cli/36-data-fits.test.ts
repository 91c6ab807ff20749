import { access, mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import t, { type Test } from 'tap'
import { writeNpy } from '../../lib/formats/npy.js'
import { makeNode } from '../../lib/graph/rewrite.js'
import type { Graph } from '../../lib/graph/graph.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import { readOnnx } from '../../lib/onnx/read.js'
import { halfWeights } from '../../lib/replacement/half-weights.js'
import { elementCount, floatTensor, int64Tensor, type Tensor } from '../../lib/tensor.js'
import { polyadic, temporaryFolder } from '../helpers/cli.js'
import { int } from '../helpers/network-builder.js'
import { noise, openNetwork, smallNetwork, writeQuadrants } from '../helpers/networks.js'

const folder = await temporaryFolder(t)
const file = (...names: string[]): string => path.join(folder, ...names)
await writeOnnx(openNetwork(), file('open.onnx'))
await writeOnnx(smallNetwork(), file('model.onnx'))
const fixedNetwork: Graph = { ...openNetwork(), inputs: [{ name: 'image', dtype: 'float32', dims: ['N', 3, 9, 9] }] }
await writeOnnx(fixedNetwork, file('fixed.onnx'))

async function data(name: string, dims: readonly number[], answers: Record<string, Tensor> = { labels: classes(dims[0] as number) }) {
  await mkdir(file(name), { recursive: true })
  await writeNpy(file(name, 'inputs.npy'), floatTensor(noise(elementCount(dims), 5), dims))
  for (const [key, tensor] of Object.entries(answers)) await writeNpy(file(name, `${key}.npy`), tensor)
  return file(name)
}

function classes(count: number, from = 0): Tensor {
  return int64Tensor(Array.from({ length: count }, (_, i) => from + (i % 4)))
}

const short = ['--batch', '8', '--steps', '1']
const finetune = (network: string, folder: string, ...more: string[]) =>
  polyadic('finetune', file(network), '--data', folder, ...short, '-o', file('tuned.onnx'), ...more)
const compress = (network: string, folder: string, ...more: string[]) =>
  polyadic(
    'compress',
    file(network),
    '--rank',
    'conv2=2',
    '--when-slower',
    'replace',
    '--data',
    folder,
    '--batch',
    '8',
    '--epochs',
    '1',
    '-o',
    file('small.onnx'),
    ...more
  )

/** By both commands that train, before anything is computed. */
async function refused(t: Test, network: string, folder: string, message: RegExp): Promise<void> {
  for (const command of [finetune, compress]) {
    const run = await command(network, folder)
    t.equal(run.code, 1, run.stdout + run.stderr)
    t.match(run.stderr, message)
    t.notMatch(run.stderr, /decompos|fine-tun/)
  }
}

t.test('N×H×W×C is not taken for N×C×H×W', async (t) => {
  const wrong = await data('nhwc', [20, 9, 9, 3])
  const message =
    /"[^"]*nhwc\/inputs\.npy": examples are 9×9×3, the network takes 3×.×.: transpose them to N×C×H×W, x\.transpose\(0, 3, 1, 2\)/
  await refused(t, 'fixed.onnx', wrong, message)
  await refused(t, 'open.onnx', wrong, message)
  await refused(t, 'fixed.onnx', await data('size', [20, 3, 8, 9]), /examples are 3×8×9, the network takes 3×9×9/)
})

t.test('open height and width are those of the data, or of --shape', async (t) => {
  const right = await data('right', [20, 3, 10, 9])
  for (const shape of [[], ['--shape', '3x10x9'], ['--shape', '1x3x10x9'], ['--shape', 'image=1x3x10x9']]) {
    t.match(await finetune('open.onnx', right, ...shape), { code: 0 }, shape.join(' '))
    const run = await compress('open.onnx', right, ...shape)
    t.equal(run.code, 0, run.stderr)
    t.match(run.stdout, /multiply-adds +[\d.k ]+ → /, 'which are known then')
  }
  const report = await compress('open.onnx', right, '--report', file('report.html'))
  t.equal(report.code, 0, report.stderr)
  for (const command of [finetune, compress])
    t.match((await command('open.onnx', right, '--shape', '3x9x9')).stderr, /examples are 3×10×9, --shape says 3×9×9/)
})

t.test('inputs of other axes than N×C×H×W', async (t) => {
  const flat = await data('flat', [20, 64])
  const { nodes, ...rest } = smallNetwork()
  const reshape = makeNode({ name: 'reshape', opType: 'Reshape', inputs: ['flat', 'dims'], outputs: ['image'] })
  const initializers = new Map([...rest.initializers, ['dims', int64Tensor([-1, 1, 8, 8])] as const])
  await writeOnnx(
    { ...rest, initializers, inputs: [{ name: 'flat', dtype: 'float32', dims: ['N', 64] }], nodes: [reshape, ...nodes] },
    file('flat.onnx')
  )
  t.match(await finetune('flat.onnx', flat), { code: 0 })
  t.match(await finetune('model.onnx', await data('plane', [20, 8, 8])), { code: 0 }, 'one channel left out')
})

t.test('how the data were split is told', async (t) => {
  const held = await finetune('fixed.onnx', await data('held', [20, 3, 9, 9]), '--json')
  t.match(held.stderr, /held": 18 examples to train on, 2 for validation \(every tenth example of ".*held"\)/)
  t.match(JSON.parse(held.stdout), { data: { train: 18, validation: 2, test: 0, validation_from: /^every tenth/ } })
  await data('split/train', [20, 3, 9, 9])
  await data('split/val', [5, 3, 9, 9])
  t.match((await finetune('fixed.onnx', file('split'))).stderr, /20 examples to train on, 5 for validation \(".*split\/val"\)/)
  const doubles = { dtype: 'float64', dims: [20, 3, 9, 9], data: new Float64Array(20 * 243) } as const
  await writeNpy(file('held', 'inputs.npy'), doubles)
  t.match((await finetune('fixed.onnx', file('held'))).stderr, /inputs\.npy": float64, rounded to float32\n/)
})

t.test('labels that are no classes, targets of another size: the file and the row', async (t) => {
  const dims = [20, 3, 9, 9]
  const some = Array.from({ length: 20 }, (_, i) => (i === 19 ? 7 : i % 4))
  await refused(
    t,
    'fixed.onnx',
    await data('above', dims, { labels: int64Tensor(some) }),
    /above\/labels\.npy": the label of row 19 is 7, the network has 4 classes, 0 to 3 /
  )
  await refused(
    t,
    'fixed.onnx',
    await data('from1', dims, { labels: classes(20, 1) }),
    /label of row 3 is 4, .*begin at 1: save labels - 1/
  )
  await refused(
    t,
    'fixed.onnx',
    await data('narrow', dims, { targets: floatTensor(new Float32Array(20), [20]) }),
    /narrow\/targets\.npy": 1 values an example, the network's output has 4/
  )
})

t.test('compress: what cannot be trained, or measured, is refused before the decomposition', async (t) => {
  await writeOnnx(withMatrixBothWays(openNetwork()), file('untrained.onnx'))
  await refused(t, 'untrained.onnx', await data('fine', [20, 3, 9, 9]), /training "square", which is used both as it is and transposed/)
  const options = await compress('fixed.onnx', file('fine'), '--momentum', '3')
  t.match(options, { code: 1, stderr: /momentum/ })
  t.notMatch(options.stderr, /decomposed/)
  const few = await compress('fixed.onnx', file('fine'), '--batch', '32')
  t.match(few, { code: 1, stderr: /18 examples to train on are no whole batch of 32: give a smaller --batch/ })
  t.notMatch(few.stderr, /decomposed/)
  const unknown = {
    ...withLast(openNetwork(), 'Sharpen', 'org.example'),
    opsets: new Map([
      ['', 17],
      ['org.example', 1]
    ])
  }
  await writeOnnx(unknown, file('unknown.onnx'))
  const args = ['--rank', 'conv2=2', '--when-slower', 'replace', '-o', file('none.onnx')]
  const report = await polyadic('compress', file('unknown.onnx'), ...args, '--shape', '3x9x9', '--report', file('none.html'))
  t.match(report, { code: 1, stderr: /Sharpen/ })
  t.notMatch(report.stderr, /decomposed/)
  t.notOk((await readdir(folder)).some((name) => name.startsWith('none')))
})

t.test('compress: what is frozen are nodes and weights of the network that will be trained', async (t) => {
  const fine = await data('fine', [20, 3, 9, 9])
  await writeOnnx(halfWeights(fixedNetwork, 'float16'), file('halves.onnx'))
  for (const [network, name, message] of [
    ['fixed.onnx', 'cnov1', /"cnov1" matches no node or initializer with trainable weights; did you mean "conv1"/],
    ['fixed.onnx', 'conv2/nonsense', /"conv2\/nonsense" matches no .*; nodes that have some: conv1, conv2\/reduce/],
    ['fixed.onnx', 'w2', /"w2" matches no/],
    ['fixed.onnx', 'relu1', /"relu1" matches no/],
    ['halves.onnx', 'w1.float16', /"w1.float16" matches no/]
  ] as const) {
    const { code, stderr } = await compress(network, fine, '--freeze', name)
    t.equal(code, 1, name)
    t.match(stderr, message)
    t.notMatch(stderr, /decomposed/)
  }
  const all = await compress('fixed.onnx', fine, '--freeze', 'conv1', '--freeze', 'conv2')
  t.match(all.stderr, /every parameter is frozen/, 'a layer and all that is in its place')
  t.notMatch(all.stderr, /decomposed/)
  for (const [network, ...names] of [
    ['fixed.onnx', 'conv2'],
    ['fixed.onnx', 'conv1', 'conv2/reduce', 'conv2/expand.weight'],
    ['halves.onnx', 'w1']
  ] as const) {
    const { code, stderr } = await compress(network, fine, ...names.flatMap((name) => ['--freeze', name]))
    t.equal(code, 0, stderr)
  }
})

/** The network with another operator behind its output. */
function withLast(graph: Graph, opType: string, domain = ''): Graph {
  const node = makeNode({ name: 'last', opType, domain, inputs: ['logits'], outputs: ['last'] })
  return { ...graph, nodes: [...graph.nodes, node], outputs: [{ name: 'last', dtype: 'float32', dims: undefined }] }
}

t.test('compress: a training that fails leaves the decomposed network', async (t) => {
  await writeQuadrants(file('quadrants'), 100)
  const output = file('kept.onnx')
  const args = ['--rank', 'conv2=2', '--when-slower', 'replace', '--data', file('quadrants'), '--epochs', '50', '--learning-rate', '1e30']
  const run = await polyadic('compress', file('model.onnx'), ...args, '--batch', '8', '-o', output)
  t.equal(run.code, 1, run.stderr)
  t.match(run.stderr, /; the decomposed network, not fine-tuned, is written to ".*kept\.onnx" \(POLYADIC_NUMERIC\)/)
  await access(output)
  t.equal((await readOnnx(output)).nodes.filter(({ opType }) => opType === 'Conv').length, 5)
})

/** Behind its output a matrix that is the weight of two layers, of one of them transposed: that cannot be trained. */
function withMatrixBothWays(graph: Graph): Graph {
  const back = makeNode({ opType: 'Gemm', inputs: ['logits', 'square'], outputs: ['back'], attributes: { transB: int(1) } })
  const last = makeNode({ opType: 'Gemm', inputs: ['back', 'square'], outputs: ['last'] })
  return {
    ...graph,
    nodes: [...graph.nodes, back, last],
    outputs: [{ name: 'last', dtype: 'float32', dims: undefined }],
    initializers: new Map(graph.initializers).set('square', floatTensor(noise(16, 3), [4, 4]))
  }
}
