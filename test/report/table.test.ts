import t from 'tap'
import { displayWidth, markdownTable, textTable } from '../../lib/report/table.js'

const columns = [{ title: 'layer' }, { title: 'multiply-adds', align: 'right' }] as const

t.test('columns line up, numbers on the right, nothing trails', async (t) => {
  const lines = textTable(columns, [
    ['conv1', '1.99 M'],
    ['a much longer name', '31.9 M']
  ]).split('\n')
  t.strictSame(lines, [
    'layer               multiply-adds',
    '──────────────────  ─────────────',
    'conv1                      1.99 M',
    'a much longer name         31.9 M'
  ])
})

t.test('a short row is filled, a left last column leaves no blanks', async (t) => {
  t.strictSame(textTable([{ title: 'a' }, { title: 'bb' }], [['x']]).split('\n'), ['a  bb', '─  ──', 'x'])
})

t.test('no rule under headings that there are none of', async (t) => {
  const rows = [
    ['iterations', '12'],
    ['error', '0.1']
  ]
  t.strictSame(textTable([{ title: '' }, { title: '' }], rows).split('\n'), ['iterations  12', 'error       0.1'])
})

t.test('wide and combining characters keep the columns aligned', async (t) => {
  t.equal(displayWidth('層'), 2)
  t.equal(displayWidth('e\u0301'), 1)
  const [, , first, second] = textTable(columns, [
    ['層', '1'],
    ['ab', '2']
  ]).split('\n')
  t.equal(displayWidth(first ?? ''), displayWidth(second ?? ''))
})

t.test('escape sequences in names never reach the terminal', async (t) => {
  t.notMatch(textTable(columns, [['\u001b[31mred\nnext', '\u202e1']]), /[\u001b\u202e]/)
  t.equal(textTable(columns, [['a\nb', '1']]).split('\n').length, 3)
})

t.test('Markdown escapes what would break a table', async (t) => {
  t.strictSame(markdownTable(columns, [['a|b', '<b>']]).split('\n'), ['| layer | multiply-adds |', '| --- | ---: |', '| a\\|b | &lt;b> |'])
})

t.test('as many rows as a network may have nodes', async (t) => {
  const rows = Array.from({ length: 200_000 }, (_, i) => [String(i)])
  t.equal(textTable([{ title: '', align: 'right' }], rows).split('\n')[9], '     9')
})
