// What the scripts of this folder share. They run against dist/, as whoever installs the package does, each in a process of its own: a crash
// shows in its exit code.
import assert from 'node:assert/strict'
import { floatTensor, makeGraph, makeNode, Session } from '../../../dist/lib/index.js'

export const values = (count, seed = 1) => Float32Array.from({ length: count }, (_, i) => Math.sin((i + 1) * 12.9898 * seed))

/** Two convolutions of 3×3 over `size`×`size` pixels; the larger, the longer it runs (24: about a millisecond). */
export function network(size = 24, channels = 16) {
  const conv = (input, weight, output) =>
    makeNode({ opType: 'Conv', inputs: [input, weight], outputs: [output], attributes: { pads: [1, 1, 1, 1] } })
  const weight = (out, inside, seed) =>
    floatTensor(
      values(out * inside * 9, seed).map((v) => v / inside),
      [out, inside, 3, 3]
    )
  return makeGraph({
    inputs: [{ name: 'x', dtype: 'float32', dims: ['N', 8, size, size] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: ['N', 8, size, size] }],
    initializers: new Map([
      ['w1', weight(channels, 8, 2)],
      ['w2', weight(8, channels, 3)]
    ]),
    nodes: [conv('x', 'w1', 'h'), makeNode({ opType: 'Relu', inputs: ['h'], outputs: ['r'] }), conv('r', 'w2', 'y')]
  })
}

export const input = (size = 24, batch = 1, seed = 1) => floatTensor(values(batch * 8 * size * size, seed), [batch, 8, size, size])

/** A session, an input and the output that it gives. */
export async function prepared({ size = 24, channels = 16, batch = 1, threads = 1 } = {}) {
  const session = await Session.create(network(size, channels), { threads })
  const x = input(size, batch)
  const expected = session.runSync({ x }).y.data
  assert(expected.every(Number.isFinite))
  return { session, x, expected }
}

export const same = (a, b) => Buffer.compare(bytes(a), bytes(b)) === 0
const bytes = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength)

/** A count from the command line, as sanitizers and Valgrind need smaller ones. */
export const count = (otherwise) => Number(process.argv[2] ?? otherwise)
