import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { decodeNpy, encodeNpy, readNpy, writeNpy } from '../../lib/formats/npy.js'
import { floatTensor, type Tensor } from '../../lib/tensor.js'

/** A .npy file by hand, as NumPy would write it. */
function npy(header: string, data: Uint8Array, version = 1): Uint8Array {
  const text = Buffer.from(`${header}\n`, 'latin1')
  const length =
    version === 1 ? Buffer.from([text.length & 255, text.length >> 8]) : Buffer.from([text.length & 255, text.length >> 8, 0, 0])
  return Buffer.concat([Buffer.from('\x93NUMPY', 'latin1'), Buffer.from([version, 0]), length, text, data])
}

const floats = new Uint8Array(new Float32Array([1, 2, 3, 4, 5, 6]).buffer)
const plain = `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`

t.test('every type survives a round trip', async (t) => {
  const tensors: Tensor[] = [
    floatTensor(new Float32Array([1.5, -2, Number.NaN]), [3]),
    { dtype: 'float64', dims: [1, 2], data: new Float64Array([Math.PI, -0]) },
    { dtype: 'int64', dims: [2], data: new BigInt64Array([-(2n ** 63n), 5n]) },
    { dtype: 'int32', dims: [2, 1], data: new Int32Array([-1, 7]) },
    { dtype: 'uint8', dims: [0, 4], data: new Uint8Array(0) },
    { dtype: 'bool', dims: [], data: new Uint8Array([1]) }
  ]
  for (const tensor of tensors) t.strictSame(decodeNpy(encodeNpy(tensor)), tensor, tensor.dtype)
})

t.test('elements are aligned in the file and need not be in memory', async (t) => {
  const bytes = encodeNpy(floatTensor(new Float32Array([1, 2]), [2]))
  t.equal((bytes.length - 8) % 64, 0)
  const shifted = new Uint8Array(bytes.length + 3)
  shifted.set(bytes, 3)
  t.strictSame(decodeNpy(shifted.subarray(3)).data, new Float32Array([1, 2]))
})

t.test('versions 1 to 3 and Fortran order', async (t) => {
  for (const version of [1, 2, 3]) t.strictSame(decodeNpy(npy(plain, floats, version)).dims, [2, 3])
  const fortran = decodeNpy(npy(plain.replace('False', 'True'), floats))
  t.strictSame([...fortran.data], [1, 3, 5, 2, 4, 6])
})

t.test('a bad file is a typed error that names it', async (t) => {
  const bad: [string, Uint8Array, string][] = [
    ['not npy', Buffer.from('hello, this is not an array'), 'POLYADIC_FORMAT'],
    ['empty', new Uint8Array(0), 'POLYADIC_FORMAT'],
    ['truncated data', npy(plain, floats.subarray(0, 20)), 'POLYADIC_FORMAT'],
    ['truncated header', npy(plain, floats).subarray(0, 30), 'POLYADIC_FORMAT'],
    ['trailing bytes', npy(plain, new Uint8Array(25)), 'POLYADIC_FORMAT'],
    ['giant header', Buffer.concat([Buffer.from('\x93NUMPY\x02\x00', 'latin1'), Buffer.from([0, 0, 0, 127]), floats]), 'POLYADIC_FORMAT'],
    ['giant shape', npy(plain.replace('2, 3', '99999999999, 99999999999'), floats), 'POLYADIC_FORMAT'],
    ['no shape', npy(`{'descr': '<f4', 'fortran_order': False}`, floats), 'POLYADIC_FORMAT'],
    ...['(2 3)', '(6)', '2, 3', '(,)', '(2,,3)', '(2, 3x)', '(-2, -3)', '(L, 6)', '(2, 3,,)'].map((shape): [string, Uint8Array, string] => [
      `shape ${shape}`,
      npy(plain.replace('(2, 3)', shape), floats),
      'POLYADIC_FORMAT'
    ]),
    ['structured', npy(`{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2, 3)}`, floats), 'POLYADIC_FORMAT'],
    ['big-endian', npy(plain.replace('<', '>'), floats), 'POLYADIC_UNSUPPORTED'],
    ['objects', npy(plain.replace('<f4', '|O'), floats), 'POLYADIC_UNSUPPORTED'],
    ['version 9', npy(plain, floats, 9), 'POLYADIC_UNSUPPORTED']
  ]
  for (const [name, bytes, code] of bad) t.throws(() => decodeNpy(bytes, `${name}.npy`), { code, message: `${name}.npy` }, name)
  await t.rejects(readNpy('/no/such.npy'), { code: 'POLYADIC_IO', message: '/no/such.npy' })
})

t.test('files are written in whole', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'polyadic-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = path.join(folder, 'x.npy')
  await writeFile(file, 'old')
  const tensor = floatTensor(new Float32Array([1, 2, 3, 4]), [2, 2])
  await writeNpy(file, tensor)
  t.strictSame(await readNpy(file), tensor)
  t.strictSame(await readdir(folder), ['x.npy'])
})

t.test('shapes as Python writes tuples', async (t) => {
  for (const [shape, dims] of [
    ['(6,)', [6]],
    ['(2, 3,)', [2, 3]],
    ['( 2L,3L )', [2, 3]]
  ] as const)
    t.strictSame(decodeNpy(npy(plain.replace('(2, 3)', shape), floats)).dims, dims)
  t.strictSame(decodeNpy(npy(plain.replace('(2, 3)', '()'), floats.subarray(0, 4))).dims, [])
})

t.test('what is no tensor is not written', async (t) => {
  const data = new Float32Array(4)
  const bad: [unknown, string][] = [
    [{ dtype: 'float32', dims: [5], data }, 'POLYADIC_SHAPE'],
    [{ dtype: 'float32', dims: [3], data }, 'POLYADIC_SHAPE'],
    [{ dtype: 'float64', dims: [4], data }, 'POLYADIC_ARGUMENT'],
    [{ dtype: 'float32', dims: [4], data: [1, 2, 3, 4] }, 'POLYADIC_ARGUMENT'],
    [{ dtype: 'float32', dims: [-4], data }, 'POLYADIC_ARGUMENT'],
    [{ dtype: 'toString', dims: [4], data }, 'POLYADIC_ARGUMENT'],
    [{ dtype: 'bfloat16', dims: [4], data: new Uint16Array(4) }, 'POLYADIC_UNSUPPORTED'],
    [undefined, 'POLYADIC_ARGUMENT']
  ]
  for (const [tensor, code] of bad) {
    t.throws(() => encodeNpy(tensor as Tensor), { name: 'PolyadicError', code })
    await t.rejects(writeNpy('/no/such/folder/x.npy', tensor as Tensor), { code })
  }
  t.throws(() => decodeNpy(undefined as unknown as Uint8Array), { code: 'POLYADIC_ARGUMENT', subject: 'bytes' })
})

t.test('files as they come: shorter than their header says, from a pipe', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'polyadic-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const short = path.join(folder, 'short.npy')
  await writeFile(short, npy(plain, floats.subarray(1)))
  await t.rejects(readNpy(short), { code: 'POLYADIC_FORMAT', message: 'short.npy' })
  const pipe = path.join(folder, 'pipe.npy')
  await promisify(execFile)('mkfifo', [pipe])
  const [tensor] = await Promise.all([readNpy(pipe), writeFile(pipe, npy(plain, floats))])
  t.strictSame([...tensor.data], [1, 2, 3, 4, 5, 6])
})
