import { execFile } from 'node:child_process'
import { lstat, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { writeFileAtomically } from '../../lib/formats/atomic-write.js'
import { temporaryFolder } from '../helpers/cli.js'

const folder = await temporaryFolder(t)
const file = (name: string): string => path.join(folder, name)
const text = (name: string): Promise<string> => readFile(file(name), 'utf8')
const bytes = Buffer.from('what is written')

t.test('a link stays one, whether there is something at its end or not', async (t) => {
  await writeFile(file('there'), 'old')
  await symlink('there', file('link'))
  await symlink('absent', file('second'))
  await symlink('second', file('dangling'))
  for (const [link, target] of [
    ['link', 'there'],
    ['dangling', 'absent']
  ] as const) {
    await writeFileAtomically(file(link), bytes)
    t.ok((await lstat(file(link))).isSymbolicLink(), link)
    t.ok((await lstat(file(target))).isFile(), target)
    t.equal(await text(target), bytes.toString())
  }
  t.ok((await lstat(file('second'))).isSymbolicLink())
  await symlink('circle', file('circle'))
  await t.rejects(writeFileAtomically(file('circle'), bytes), { code: 'POLYADIC_IO', subject: file('circle') })
})

t.test('names as long as the system takes them', async (t) => {
  for (const length of [237, 238, 255]) {
    const name = 'n'.repeat(length)
    await writeFileAtomically(file(name), bytes)
    t.equal(await text(name), bytes.toString())
  }
  t.notOk((await readdir(folder)).some((name) => name.endsWith('.tmp')))
})

t.test('pipes and devices are written to, not replaced', { skip: process.platform === 'win32' }, async (t) => {
  await promisify(execFile)('mkfifo', [file('pipe')])
  const [read] = await Promise.all([text('pipe'), writeFileAtomically(file('pipe'), [bytes, bytes])])
  t.equal(read, `${bytes}${bytes}`)
  t.ok((await lstat(file('pipe'))).isFIFO())
  // Through a link of our own: nobody's /dev is at stake.
  await symlink('/dev/null', file('null'))
  await writeFileAtomically(file('null'), bytes)
  t.ok((await lstat(file('null'))).isSymbolicLink())
  t.ok((await lstat('/dev/null')).isCharacterDevice())
  await t.rejects(writeFileAtomically(folder, bytes), { code: 'POLYADIC_IO', subject: folder })
})
