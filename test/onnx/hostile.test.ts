import t from 'tap'
import { PolyadicError } from '../../lib/errors.js'
import { decodeOnnx } from '../../lib/onnx/read.js'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { encodeModel, floatType, rawFloats, smallModel } from '../helpers/onnx-builder.js'
import { generator } from '../helpers/plan-builder.js'

const model = encodeModel(
  smallModel(
    {
      node: [
        { name: 'add', op_type: 'Add', input: ['x', 'b'], output: ['s'], attribute: [{ name: 'ints', type: 7, ints: [1, 2] }] },
        {
          op_type: 'If',
          input: ['s'],
          output: ['y'],
          attribute: [{ name: 'then', type: 5, g: { node: [{ op_type: 'Relu', input: ['s'], output: ['q'] }] } }]
        }
      ],
      initializer: [
        { name: 'b', data_type: 1, dims: [2], raw_data: rawFloats(1, 2) },
        { name: 'c', data_type: 7, dims: [2], int64_data: [1, 2] }
      ],
      value_info: [{ name: 's', type: floatType('N', 2) }]
    },
    { metadata_props: [{ key: 'k', value: 'v' }] }
  )
)

/** What reading gives: 'valid', or the code of a PolyadicError. Anything else thrown is a failure of the test. */
function outcome(bytes: Uint8Array): string {
  try {
    const graph = decodeOnnx(bytes)
    // What could be read can be written, or is refused in the same manner.
    encodeOnnx(graph)
    return 'valid'
  } catch (error) {
    if (error instanceof PolyadicError) return error.code
    throw new Error(`untyped error for ${Buffer.from(bytes).toString('hex')}`, { cause: error })
  }
}

function count(outcomes: Iterable<string>): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const key of outcomes) counts[key] = (counts[key] ?? 0) + 1
  return counts
}

/** Integers in [0, limit), always the same ones for a seed. */
function randomSource(seed: number): (limit: number) => number {
  const source = generator(seed)
  return (limit) => Math.floor(source.next() * limit)
}

t.test('the model itself is valid', async (t) => {
  t.equal(outcome(model), 'valid')
})

t.test('cut off at any byte: an error with a code, or still a model', async (t) => {
  const counts = count(Array.from(model, (_, length) => outcome(model.subarray(0, length))))
  t.comment(JSON.stringify(counts))
  t.ok((counts.POLYADIC_FORMAT ?? 0) > model.length / 2)
})

t.test('2,000 random mutations: the same, in bounded time', async (t) => {
  const random = randomSource(42)
  const started = performance.now()
  const mutated = (): Uint8Array => {
    const bytes = Array.from(model)
    for (let changes = 1 + random(2); changes > 0; changes--) {
      const at = random(bytes.length)
      const kind = random(4)
      if (kind === 0) bytes[at] = random(256)
      else if (kind === 1) bytes.splice(at, 1 + random(8))
      else if (kind === 2) bytes.splice(at, 0, ...Array.from({ length: 1 + random(8) }, () => random(256)))
      else bytes.splice(at, 0, ...bytes.slice(at, at + random(40)))
    }
    return Uint8Array.from(bytes)
  }
  const counts = count(Array.from({ length: 2000 }, () => outcome(mutated())))
  t.comment(JSON.stringify(counts))
  t.ok((counts.POLYADIC_FORMAT ?? 0) > 500)
  t.ok((counts.valid ?? 0) > 50)
  t.ok(performance.now() - started < 30_000)
})

t.test('random bytes are no model', async (t) => {
  const random = randomSource(7)
  const counts = count(Array.from({ length: 300 }, () => outcome(Uint8Array.from({ length: random(200) }, () => random(256)))))
  t.equal(counts.valid, undefined)
})

t.test('sub-graphs in sub-graphs without end are refused', async (t) => {
  const wrap = (field: number, content: Buffer): Buffer => {
    const length: number[] = []
    for (let rest = content.length; ; rest >>>= 7) {
      length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest)
      if (rest <= 0x7f) break
    }
    return Buffer.concat([Buffer.from([(field << 3) | 2, ...length]), content])
  }
  let graph: Buffer = Buffer.alloc(0)
  for (let depth = 0; depth < 2000; depth++)
    graph = wrap(1, Buffer.concat([wrap(4, Buffer.from('If')), wrap(5, Buffer.concat([wrap(1, Buffer.from('a')), wrap(6, graph)]))]))
  t.equal(outcome(Buffer.concat([Buffer.from([8, 8]), wrap(7, graph)])), 'POLYADIC_FORMAT')
})

t.test('a chain of 20,000 nodes in reverse order is sorted quickly', async (t) => {
  const length = 20_000
  const node = Array.from({ length }, (_, i) => ({ op_type: 'Relu', input: [i === length - 1 ? 'x' : `v${i + 1}`], output: [`v${i}`] }))
  const started = performance.now()
  const graph = decodeOnnx(encodeModel(smallModel({ node, output: [{ name: 'v0' }] })))
  t.equal(graph.nodes.at(-1)?.outputs[0], 'v0')
  t.ok(performance.now() - started < 10_000)
})
