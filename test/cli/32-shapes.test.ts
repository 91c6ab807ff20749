import { readFile } from 'node:fs/promises'
import path from 'node:path'
import t, { type Test } from 'tap'
import { int, makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import type { Graph } from '../../lib/graph/graph.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import type { DataType } from '../../lib/tensor.js'
import { polyadic, temporaryFolder } from '../helpers/cli.js'
import { openNetwork, smallNetwork } from '../helpers/networks.js'

const folder = await temporaryFolder(t)
const file = (name: string): string => path.join(folder, name)
await writeOnnx(openNetwork(), file('open.onnx'))
await writeOnnx(smallNetwork(), file('model.onnx'))
await writeOnnx({ ...smallNetwork(), inputs: [{ name: 'image', dtype: 'float32', dims: [4, 1, 8, 8] }] }, file('fixed.onnx'))

/** A network whose input is of this type. */
function typed(dtype: DataType): Graph {
  return makeGraph({
    name: dtype,
    inputs: [{ name: 'x', dtype, dims: ['N', 6] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: ['N', 6] }],
    nodes: [makeNode({ name: 'cast', opType: 'Cast', inputs: ['x'], outputs: ['y'], attributes: { to: int(1) } })]
  })
}

async function bench(t: Test, ...args: string[]) {
  const { code, stdout, stderr } = await polyadic('bench', ...args, '--runs', '2', '--json', file('bench.json'))
  t.equal(code, 0, stderr)
  return { stdout, json: JSON.parse(await readFile(file('bench.json'), 'utf8')) }
}

async function fails(t: Test, code: number, message: RegExp, ...args: string[]): Promise<void> {
  const run = await polyadic(...args)
  t.equal(run.code, code, `${args.join(' ')}\n${run.stdout}${run.stderr}`)
  t.match(run.stderr, message)
  t.equal(run.stdout, '')
}

t.test('bench records the shapes that it has timed', async (t) => {
  const batch = await bench(t, file('model.onnx'), '--batch', '3')
  t.match(batch.json, { batch: 3, networks: [{ batch: 3, inputs: { image: [3, 1, 8, 8] } }] })
  t.match(batch.stdout, /image 3×1×8×8[\s\S]*times are of a run, of 3 examples/)
  t.match((await bench(t, file('fixed.onnx'))).json, { batch: 4, networks: [{ inputs: { image: [4, 1, 8, 8] } }] })
  t.match((await bench(t, file('open.onnx'), '--shape', '2x3x9x10')).json, { batch: 2, networks: [{ inputs: { image: [2, 3, 9, 10] } }] })
  t.match((await bench(t, file('open.onnx'), '--shape', 'image=3x9x10', '--batch', '2')).json, { batch: 2 })
})

t.test('bench refuses a batch that cannot be', async (t) => {
  await fails(t, 2, /--batch: the network's batch is fixed.*8 \(input "image" is 4×1×8×8\)/, 'bench', file('fixed.onnx'), '--batch', '8')
  await fails(t, 2, /--batch: the network's batch is fixed/, 'bench', file('model.onnx'), file('fixed.onnx'), '--batch', '8')
  await fails(t, 2, /--batch 3 and --shape 2x3x9x9 contradict/, 'bench', file('open.onnx'), '--batch', '3', '--shape', '2x3x9x9')
  t.match((await bench(t, file('fixed.onnx'), '--batch', '4')).json, { batch: 4 }, 'what it is anyway')
})

t.test('bench: of two networks a shape is for those that have the input', async (t) => {
  const renamed = { ...openNetwork('pixels') }
  await writeOnnx(renamed, file('renamed.onnx'))
  const { json, stdout } = await bench(t, file('open.onnx'), file('renamed.onnx'), '--shape', 'image=1x3x9x9', '--shape', 'pixels=2x3x9x9')
  t.match(json, { batch: null, networks: [{ inputs: { image: [1, 3, 9, 9] } }, { inputs: { pixels: [2, 3, 9, 9] } }] })
  t.match(stdout, /times are of a run\nthe networks were run on inputs of different shapes/)
  await fails(t, 2, /no input "other": image, pixels/, 'bench', file('open.onnx'), file('renamed.onnx'), '--shape', 'other=1x3x9x9')
})

t.test('bench and the report of compress: inputs of the type declared', async (t) => {
  for (const dtype of ['float64', 'float16', 'uint8', 'int8', 'int32', 'int64', 'bool'] as const) {
    await writeOnnx(typed(dtype), file(`${dtype}.onnx`))
    await bench(t, file(`${dtype}.onnx`))
  }
  const { inputs, outputs, nodes, ...rest } = smallNetwork()
  const cast = makeNode({ name: 'cast', opType: 'Cast', inputs: ['bytes'], outputs: ['image'], attributes: { to: int(1) } })
  const bytes = {
    ...rest,
    inputs: inputs.map((input) => ({ ...input, name: 'bytes', dtype: 'uint8' as const })),
    outputs,
    nodes: [cast, ...nodes]
  }
  await writeOnnx(bytes, file('bytes.onnx'))
  const args = ['--rank', 'conv2=2', '--when-slower', 'replace', '-o', file('small.onnx'), '--report', file('report.html')]
  const { code, stderr } = await polyadic('compress', file('bytes.onnx'), ...args)
  t.equal(code, 0, stderr)
  t.match(await readFile(file('report.html'), 'utf8'), /× (faster|slower) on one thread; parameters: [\d.]+× fewer/)
})

t.test('inspect: a shape that does not fit is an error', async (t) => {
  await fails(t, 2, /--shape: input "image" is N×3×h×w, got 1×4×9×9/, 'inspect', file('open.onnx'), '--shape', 'image=1x4x9x9')
  await fails(t, 2, /--shape: input "image" is N×3×h×w, got 9×9/, 'inspect', file('open.onnx'), '--shape', '9x9')
  await fails(t, 1, /--shape: node "conv1"/, 'inspect', file('open.onnx'), '--shape', '1x3x2x2')
  const { code, stdout } = await polyadic('inspect', file('open.onnx'), '--shape', '3x9x9')
  t.equal(code, 0)
  t.match(stdout, /conv1 .*1×8×7×7/)
})

t.test('inspect: open dimensions name --shape', async (t) => {
  const { code, stdout } = await polyadic('inspect', file('open.onnx'))
  t.equal(code, 0)
  t.match(stdout, /not known: input "image" has no fixed shape \(N×3×h×w\): give it by --shape, as in --shape image=1x3x224x224/)
  t.notMatch(stdout, /inputShapes/)
})
