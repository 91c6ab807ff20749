import t from 'tap'
import { readOnnx } from '../../lib/onnx/read.js'
import { charnetFile } from '../../examples/charnet/paths.js'
import { gatherMoments } from '../../lib/replacement/calibration.js'
import { compress } from '../../lib/replacement/compress.js'
import { findLayer, readLayer } from '../../lib/replacement/layer.js'
import { Session } from '../../lib/runtime/session.js'
import { floatTensor } from '../../lib/tensor.js'
import { rejectsError } from '../helpers/expect-error.js'
import { randomArray } from '../helpers/solver-reference.js'

const images = (count: number, seed: number) => floatTensor(Float32Array.from(randomArray(count * 576, seed)), [count, 1, 24, 24])

t.test('moments of a first layer are those of its patches, whatever the batches', async (t) => {
  const graph = await readOnnx(charnetFile)
  const layer = readLayer(graph, findLayer(graph, 'conv1'))
  const image = images(3, 1)
  const whole = await gatherMoments(graph, [layer], { inputs: { image } }, 1, undefined)
  const parts = [0, 1, 2].map((i) => ({ image: floatTensor(image.data.slice(i * 576, (i + 1) * 576), [1, 1, 24, 24]) }))
  const streamed = await gatherMoments(graph, [layer], { inputs: parts }, 2, undefined)
  const [a, b] = [whole, streamed].map((moments) => moments.get('conv1')![0]!)
  t.equal(a!.length, 81 * 81)
  t.ok(a!.every((value, i) => Math.abs(value - b![i]!) < 1e-9 * Math.abs(a![0]!)))
  t.ok(
    a!.every((value, i) => value === a![(i % 81) * 81 + Math.floor(i / 81)]),
    'symmetric'
  )
  const trace = (moments: Float64Array): number => moments.reduce((sum, value, i) => sum + (i % 82 === 0 ? value : 0), 0)
  const power = image.data.reduce((sum, value) => sum + value * value, 0) / image.data.length
  t.ok(Math.abs(trace(a!) / (81 * power) - 1) < 0.2, `the mean square of the pixels: ${trace(a!) / 81}, ${power}`)
})

t.test('a network of a fixed batch is run by it, and what fills the last one up does not count', async (t) => {
  const open = await readOnnx(charnetFile)
  const fixed = { ...open, inputs: open.inputs.map((input) => ({ ...input, dims: [4, 1, 24, 24] })) }
  const layer = readLayer(open, findLayer(open, 'conv2'))
  for (const count of [64, 6, 3]) {
    const calibration = { inputs: { image: images(count, 1) }, patches: 16 * count }
    const [expected, found] = await Promise.all([open, fixed].map((graph) => gatherMoments(graph, [layer], calibration, 1, undefined)))
    const [a, b] = [expected, found].map((moments) => moments?.get('conv2')?.[0] as Float64Array) as [Float64Array, Float64Array]
    const largest = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    t.ok(
      a.every((value, i) => Math.abs(value - (b[i] as number)) < 1e-5 * largest),
      `${count} examples`
    )
  }
  const options = { whenSlower: 'replace', layers: { conv2: 4 }, maxIterations: 5 } as const
  const { layers } = await compress(fixed, { ...options, calibration: { inputs: { image: images(64, 1) }, patches: 64 } })
  t.ok((layers[0]?.outputError ?? 1) < 1)
})

t.test('examples of another shape than the network takes are refused where a layer reads them itself, too', async (t) => {
  const fixed = await readOnnx(charnetFile)
  const open = { ...fixed, inputs: fixed.inputs.map((input) => ({ ...input, dims: undefined })) }
  const gather = (graph: typeof fixed | typeof open, dims: readonly number[]) => {
    const image = floatTensor(new Float32Array(dims.reduce((product, dim) => product * dim, 1)), dims)
    return gatherMoments(graph, [readLayer(graph, findLayer(graph, 'conv1'))], { inputs: { image } }, 1, undefined)
  }
  for (const dims of [[4, 2, 24, 24], [4, 24, 24], [4, 576], [4], [4, 1, 24, 24, 1], [4, 1, 20, 20]])
    await rejectsError(t, gather(fixed, dims), 'POLYADIC_SHAPE', 'input "image": expected ?×1×24×24', `got ${dims.join('×')}`)
  await rejectsError(t, gather(open, [4, 24, 24]), 'POLYADIC_SHAPE', 'input "image": expected ?×1×?×?, got 4×24×24')
  await rejectsError(t, gather(open, [4, 1, 24, 5]), 'POLYADIC_SHAPE', '"image" is 4×1×24×5', '"conv1"')
  t.ok(await gather(open, [4, 1, 20, 20]))
})

t.test('compress with calibration lowers the error of the output', async (t) => {
  const graph = await readOnnx(charnetFile)
  const calibration = { inputs: { image: images(16, 2) }, patches: 256 }
  const options = { layers: { conv1: 12 }, seed: 1 }
  const { graph: aware, layers } = await compress(graph, { whenSlower: 'replace', ...options, calibration })
  const [report] = layers
  t.ok(report!.outputError! < report!.outputErrorBefore!, `${report!.outputErrorBefore} → ${report!.outputError}`)
  t.equal((await compress(graph, options)).layers[0]!.outputError, undefined)
  await using session = await Session.create(aware)
  t.ok((await session.run({ image: images(2, 3) })).probabilities!.data.every(Number.isFinite))
  await t.rejects(compress(graph, { whenSlower: 'replace', ...options, calibration: { inputs: [] } }), { code: 'POLYADIC_ARGUMENT' })
  await t.rejects(compress(graph, { whenSlower: 'replace', ...options, calibration: { inputs: {}, patches: 0 } }), {
    code: 'POLYADIC_ARGUMENT',
    subject: 'calibration.patches'
  })
  for (const inputs of [
    [null],
    { image: undefined },
    [{ image: null }],
    { image: 1 },
    [{ image: { dtype: 'float32', dims: [1, 3, 8, 8] } }]
  ])
    await t.rejects(compress(graph, { whenSlower: 'replace', ...options, calibration: { inputs } as never }), {
      code: 'POLYADIC_ARGUMENT',
      message: /^calibration\.inputs: /
    })
})
