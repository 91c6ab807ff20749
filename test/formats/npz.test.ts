import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { deflateRawSync } from 'node:zlib'
import t from 'tap'
import { decodeNpz, encodeNpz, readNpz, writeNpz } from '../../lib/formats/npz.js'
import { floatTensor, type Tensor } from '../../lib/tensor.js'

const arrays: Record<string, Tensor> = {
  factor_0: floatTensor(new Float32Array([1, 2, 3, 4, 5, 6]), [2, 3]),
  'übel ☃': { dtype: 'float64', dims: [2], data: new Float64Array([Math.PI, -0]) },
  empty: { dtype: 'int32', dims: [0], data: new Int32Array(0) }
}

// The same archive with its one entry deflated, as np.savez_compressed writes it.
function compressed(): Buffer {
  const plain = Buffer.from(encodeNpz({ a: arrays.factor_0 as Tensor }))
  const [nameLength, size] = [plain.readUInt16LE(26), plain.readUInt32LE(22)]
  const data = deflateRawSync(plain.subarray(30 + nameLength, 30 + nameLength + size))
  const local = Buffer.from(plain.subarray(0, 30 + nameLength))
  const rest = Buffer.from(plain.subarray(30 + nameLength + size))
  local.writeUInt16LE(8, 8)
  local.writeUInt32LE(data.length, 18)
  rest.writeUInt16LE(8, 10)
  rest.writeUInt32LE(data.length, 20)
  rest.writeUInt32LE(local.length + data.length, rest.length - 6)
  return Buffer.concat([local, data, rest])
}

t.test('arrays survive a round trip, compressed ones are read', async (t) => {
  t.strictSame(decodeNpz(encodeNpz(arrays)), arrays)
  t.strictSame(decodeNpz(encodeNpz({})), {})
  t.strictSame(decodeNpz(compressed()), { a: arrays.factor_0 })
})

t.test('every truncation and every damaged byte is an error or the same arrays, never a crash', async (t) => {
  const whole = Buffer.from(encodeNpz({ a: arrays.factor_0 as Tensor }))
  let refused = 0
  for (let length = 0; length < whole.length; length++) {
    t.throws(() => decodeNpz(whole.subarray(0, length)), { code: 'POLYADIC_FORMAT' }, `cut at ${length}`)
  }
  for (let i = 0; i < whole.length; i++) {
    const damaged = Buffer.from(whole)
    damaged[i]! ^= 0xff
    try {
      decodeNpz(damaged)
    } catch (error) {
      refused++
      t.match((error as { code: string }).code, /^POLYADIC_(FORMAT|UNSUPPORTED)$/, `byte ${i}`)
    }
  }
  t.ok(refused > 100, 'the checksum sees what the structure does not')
})

t.test('files: the same arrays, the same errors, and turns of the event loop between', async (t) => {
  const folder = t.testdir()
  const file = path.join(folder, 'a.npz')
  await writeNpz(file, arrays)
  t.ok((await readFile(file)).equals(encodeNpz(arrays)))
  t.strictSame(await readNpz(file), arrays)
  await writeFile(file, compressed())
  t.strictSame(await readNpz(file), { a: arrays.factor_0 })
  const whole = Buffer.from(encodeNpz({ a: arrays.factor_0 as Tensor }))
  for (let i = 0; i < whole.length; i += 3) {
    const damaged = Buffer.from(whole)
    damaged[i]! ^= 0xff
    const expected = outcome(() => decodeNpz(damaged, file))
    await writeFile(file, damaged)
    t.strictSame(await readNpz(file).catch((error: Error) => error.message), expected, `byte ${i}`)
    await writeFile(file, whole.subarray(0, i))
    t.match(await readNpz(file).catch((error: unknown) => error), { code: 'POLYADIC_FORMAT' }, `cut at ${i}`)
  }
  // 96 MiB, summed up in pieces.
  const large = { large: floatTensor(new Float32Array(3 * 2 ** 23), [3 * 2 ** 23]) }
  for (const work of [() => writeNpz(file, large), () => readNpz(file)]) {
    let turns = 0
    const counting = setInterval(() => turns++, 0)
    await work()
    clearInterval(counting)
    t.ok(turns >= 3, `${turns} turns`)
  }
})

function outcome(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return (error as Error).message
  }
}
