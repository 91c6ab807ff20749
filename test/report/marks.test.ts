import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { replaceMarked, rewriteMarked } from '../../lib/report/marks.js'

const text = 'a\n<!-- one: begin -->\nold\n<!-- one: end -->\nb\n<!-- two: begin -->\n<!-- two: end -->\nc\n'

t.test('what stands between two marks is replaced, and nothing else', async (t) => {
  const replaced = replaceMarked(text, 'one', 'new')
  t.equal(replaced, text.replace('old', 'new'))
  t.equal(replaceMarked(replaced, 'one', 'new'), replaced, 'the second time nothing changes')
})

t.test('marks that are missing, reversed or there twice', async (t) => {
  for (const bad of ['', '<!-- one: begin -->', '<!-- one: end --><!-- one: begin -->', text + text])
    t.throws(() => replaceMarked(bad, 'one', 'new'), { name: 'RangeError', message: /expected one <!-- one: begin -->/ })
})

t.test('a file, all of its parts or none', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'polyadic-marks-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = path.join(folder, 'document.md')
  await writeFile(file, text)
  await t.rejects(rewriteMarked(file, { one: '1', three: '3' }), /document\.md: expected one <!-- three: begin -->/)
  t.equal(await readFile(file, 'utf8'), text)
  await rewriteMarked(file, { one: '1', two: '2' })
  t.match(await readFile(file, 'utf8'), /begin -->\n1\n<!--[\s\S]*begin -->\n2\n<!--/)
})
