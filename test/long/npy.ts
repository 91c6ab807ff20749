import { truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { encodeNpy, readNpy } from '../../lib/formats/npy.js'
import { temporaryFolder } from '../helpers/cli.js'

// One read of Node takes 2 GiB.
void t.test('an array of more than 2 GiB', async (t) => {
  const file = path.join(await temporaryFolder(t), 'large.npy')
  const size = 2 ** 31 + 64
  const empty = encodeNpy({ dtype: 'uint8', dims: [0], data: new Uint8Array(0) })
  const header = Buffer.from(empty).toString('latin1').replace('(0,), }         ', `(${size},), }`.padEnd(16))
  await writeFile(file, header, 'latin1')
  await truncate(file, empty.length + size) // a hole: it takes no room on the disk
  const { dims, data } = await readNpy(file)
  t.same([dims, data.length, data.byteLength], [[size], size, size])
})
