import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { documents, root } from './snippets.js'

const readme = readFileSync(path.join(root, 'README.md'), 'utf8')

t.test('links lead somewhere, and the table has its place', async (t) => {
  for (const file of documents()) {
    const text = readFileSync(path.join(root, file), 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g))
      t.ok(existsSync(path.join(root, path.dirname(file), target)), `${file}: ${target}`)
  }
  t.match(readme, /<!-- results: begin -->[\s\S]*<!-- results: end -->/)
})

t.test('every export is named in the README, and nothing else is promised', async (t) => {
  const index = readFileSync(path.join(root, 'lib/index.ts'), 'utf8')
  const names = [...index.matchAll(/^export \{([^}]*)\}/gm)].flatMap(([, list = '']) => list.split(',')).map((name) => name.trim())
  const values = names.filter((name) => !name.startsWith('type ') && name !== '')
  for (const name of values) t.ok(new RegExp(`\\b${name}\\b`).test(readme), `${name} is in the README`)
})
