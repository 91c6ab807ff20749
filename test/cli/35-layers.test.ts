import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { decodeOnnx } from '../../lib/onnx/read.js'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { makeNode } from '../../lib/graph/rewrite.js'
import type { Graph } from '../../lib/graph/graph.js'
import { int, NetworkBuilder } from '../helpers/network-builder.js'
import { polyadic } from '../helpers/cli.js'
import { openNetwork, smallNetwork } from '../helpers/networks.js'

/** block/conv1 → BatchNormalization → an operator of another domain → block/conv2 → Flatten → head, with a weight in a Constant node. */
function network(): Graph {
  const builder = new NetworkBuilder(13)
  const x = builder.input([1, 8, 10, 10], 'image')
  const first = builder.norm(builder.conv(x, [16, 8, 3, 3]), 16)
  const custom = builder.node('Sharpen', [first])
  const second = builder.conv(custom, [16, 16, 3, 3])
  const flat = builder.node('Flatten', [second], { axis: int(1) })
  const weight = builder.weight(16 * 36, 12)
  const head = builder.node('MatMul', [flat, builder.node('Constant', [], { value: builder.initializers.get(weight) as never })])
  builder.initializers.delete(weight)
  const graph = builder.graph(head)
  const names = new Map([
    [builder.nodes[0]?.name, 'block/conv1'],
    [second, 'block/conv2'],
    [head, 'head']
  ])
  const nodes = graph.nodes.map((node) =>
    node.opType === 'Sharpen'
      ? makeNode({ ...node, attributes: {}, domain: 'org.example' })
      : { ...node, name: names.get(node.name) ?? node.name }
  )
  return { ...graph, nodes, opsets: new Map([...graph.opsets, ['org.example', 1]]) }
}

t.test('inspect: layers with their kernels, operators that are carried, constants counted', async (t) => {
  const file = join(t.testdir(), 'm.onnx')
  await writeFile(file, encodeOnnx(network()))
  const { stdout, code } = await polyadic('inspect', file)
  t.equal(code, 0)
  t.match(stdout, /block\/conv1 +Conv +16×8×3×3 +72/)
  t.match(stdout, /head +MatMul +12×576 +12/)
  t.match(stdout, /and 1 Constant nodes/)
  t.match(stdout, /carried through compression as they are: org\.example\.Sharpen/)
  t.match(stdout, /Cannot be run by this version: node .*Sharpen/)
  const { carriedOperators, nodes } = JSON.parse((await polyadic('inspect', file, '--json')).stdout)
  t.strictSame(carriedOperators, { 'org.example.Sharpen': 1 })
  t.match(nodes[0], { name: 'block/conv1', kernel: [16, 8, 3, 3], fullRank: 72 })
})

t.test('compress: patterns, parts of the outputs, full rank, folded normalisation; the unknown operator is still there', async (t) => {
  const folder = t.testdir()
  const [file, out] = [join(folder, 'm.onnx'), join(folder, 'out.onnx')]
  await writeFile(file, encodeOnnx(network()))
  const run = async (...args: string[]) => {
    const { stdout, stderr, code } = await polyadic(
      'compress',
      file,
      '-o',
      out,
      '--max-iterations',
      '3',
      '--when-slower',
      'replace',
      '--json',
      ...args
    )
    return {
      code,
      stderr,
      layers: code === 0 ? (JSON.parse(stdout).layers as { name: string; rank: number; foldedBatchNorm?: string }[]) : []
    }
  }
  const all = await run('--rank', '*=C/2', '--rank', 'block/conv2=3', '--batch-norm', 'fold')
  t.strictSame(
    all.layers.map(({ name, rank }) => [name, rank]),
    [
      ['block/conv2', 3],
      ['block/conv1', 8],
      ['head', 6]
    ]
  )
  t.ok(all.layers[1]?.foldedBatchNorm)
  const types = decodeOnnx(await readFile(out)).nodes.map(({ opType }) => opType)
  t.strictSame(types, ['Conv', 'Conv', 'Conv', 'Conv', 'Sharpen', 'Conv', 'Conv', 'Conv', 'Conv', 'Flatten', 'MatMul', 'MatMul'])
  const form = await run('--rank', 'head=full', '--form', 'head=matrix')
  t.strictSame(
    form.layers.map(({ name, rank }) => [name, rank]),
    [['head', 12]]
  )
  const blocks = await run('--rank', 'block/*=4')
  t.strictSame(blocks.layers.map(({ name }) => name).sort(), ['block/conv1', 'block/conv2'])
  const bounded = await run('--rank', 'head=error=0.7', '--rank', 'block/*=error=0.8', '--when-slower', 'keep')
  t.equal(bounded.code, 0, bounded.stderr)
  const head = bounded.layers.find(({ name }) => name === 'head') as { requestedError?: number; relativeError: number } | undefined
  t.equal(head?.requestedError, 0.7)
  t.ok((head?.relativeError ?? 1) <= 0.7)
  for (const [args, message] of [
    [['--rank', 'head=error=0'], /error=0\.2 and full will do too/],
    [['--rank', 'head=error='], /positive integer/],
    [['--rank', 'nothing*=4'], /no layer fits "nothing\*"/],
    [['--rank', '*=1000000'], /gets smaller/],
    [['--rank', 'nope=C/2'], /needs the name of a layer/],
    [['--rank', 'head=C/0'], /positive integer/],
    [['--rank', 'head=2', '--form', 'other=matrix'], /"other" has no --rank/],
    [['--rank', 'head=2', '--form', 'head=square'], /expected matrix or convolution/]
  ] as const) {
    const { code, stderr } = await run(...args)
    t.equal(code, 2, args.join(' '))
    t.match(stderr, message)
  }
})

/** Compresses a network, without keeping any layer. */
async function compressed(network: Graph, ...args: string[]) {
  const folder = t.testdir()
  const file = join(folder, 'm.onnx')
  await writeFile(file, encodeOnnx(network))
  return polyadic('compress', file, '-o', join(folder, 'out.onnx'), '--max-iterations', '3', ...args)
}

t.test('a name of no layer: those like it', async (t) => {
  const swapped = await compressed(smallNetwork(), '--rank', 'cnov2=4')
  t.equal(swapped.code, 1)
  t.match(swapped.stderr, /--rank: "cnov2" names no layer; did you mean "conv2"\?.*POLYADIC_ARGUMENT/)
  const far = await compressed(smallNetwork(), '--rank', 'head=4')
  t.match(far.stderr, /"head" names no layer: there are "conv1", "conv2" \(POLYADIC_ARGUMENT\)/)
  t.match(await compressed(smallNetwork(), '--rank', 'c2=4', '--when-slower', 'replace'), { code: 0 }, 'by its output')
})

t.test('compress says what somebody may not expect', async (t) => {
  const open = await compressed(openNetwork(), '--rank', 'conv2=2')
  t.equal(open.code, 0, open.stderr)
  t.match(
    open.stdout,
    /not timed, and replaced whether that is faster on this CPU or not: conv2; input "image" .*--shape image=1x3x224x224/
  )
  const asked = await compressed(openNetwork(), '--rank', 'conv2=2', '--when-slower', 'replace')
  t.notMatch(asked.stdout, /not timed/)
  const large = await compressed(smallNetwork(), '--rank', 'conv1=500', '--when-slower', 'replace')
  t.match(large.stdout, /parameters +1228 → 1282 \(1\.04× more\)/)
  t.match(large.stdout, /multiply-adds .* more\)/)
  t.match(large.stdout, /conv1: rank 9 instead of 500, which is exact/)
  t.match(large.stdout, /conv1: more multiply-adds than before at this rank/)
  t.match(large.stdout, /conv1: more parameters than before at this rank/)
  const b = new NetworkBuilder()
  const tiny = b.graph(b.node('MatMul', [b.input([1, 2], 'x'), b.weight(2, 2)]))
  const none = await compressed(tiny, '--rank', '*=error=0.5')
  t.match(none.stdout, /matmul0 stays: no chain has fewer weights \(--when-slower replace\)/)
})

t.test('compress says who else uses the weights of a layer', async (t) => {
  const { nodes, ...rest } = openNetwork()
  const conv = (name: string, output: string): Graph['nodes'][number] =>
    makeNode({ name, opType: 'Conv', inputs: ['image', 'w1'], outputs: [output], attributes: { kernel_shape: [3, 3] } })
  const sum = makeNode({ name: 'sum', opType: 'Add', inputs: ['c1', 'd1'], outputs: ['both'] })
  const relu = makeNode({ name: 'relu1', opType: 'Relu', inputs: ['both'], outputs: ['r1'] })
  const shared = { ...rest, nodes: [conv('conv1', 'c1'), conv('again', 'd1'), sum, relu, ...nodes.slice(2)] }
  const one = await compressed(shared, '--rank', 'conv1=2', '--when-slower', 'replace')
  t.match(one.stdout, /conv1: its weights "w1" are those of again, too, and stay in the network for it/)
  t.match(one.stdout, /parameters .* more\)/)
  const both = await compressed(shared, '--rank', 'conv1=2', '--rank', 'again=2', '--when-slower', 'replace')
  t.match(both.stdout, /conv1 shared its weights "w1" with again: now each has its own/)
})
