import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { decodeOnnx } from '../../lib/onnx/read.js'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { makeNode } from '../../lib/graph/rewrite.js'
import type { Graph } from '../../lib/graph/graph.js'
import { int, NetworkBuilder } from '../helpers/network-builder.js'
import { polyadic } from '../helpers/cli.js'

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
