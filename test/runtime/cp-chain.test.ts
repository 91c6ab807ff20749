import t from 'tap'
import { int } from '../../lib/graph/rewrite.js'
import { type Build, chain, opsOf, stepsOf } from '../helpers/compiled.js'

void t.test('CP chains become one step', (t) => {
  const [block] = stepsOf([1, 4, 9, 9], (b, x) => b.node('Relu', [chain(b, x)]))
  t.match(block, { op: 'cp_block', input: 0, activation: { kind: 'relu' } })
  t.match(block?.op === 'cp_block' && block.stages, [
    { kernel: [1, 1], groups: 1, bias: -1 },
    { kernel: [3, 1], groups: 5 },
    { kernel: [1, 3], strides: [1, 2], groups: 5 },
    { kernel: [1, 1], groups: 1 }
  ])
  t.same(
    opsOf([1, 4, 9, 9], (b, x) => chain(b, x), { cpBlocks: false }),
    Array(4).fill('convolution')
  )
  const first: Build = (b, x) =>
    b.conv(b.conv(b.conv(x, [10, 1, 5, 1], { group: int(2) }), [10, 1, 1, 5], { group: int(10) }), [6, 5, 1, 1], { group: int(2) })
  t.match(stepsOf([1, 2, 9, 9], first), [{ op: 'cp_block', stages: { length: 3 } }])
  t.match(
    stepsOf([1, 4, 9, 9], (b, x) => b.conv(b.conv(x, [4, 1, 3, 1], { group: int(4) }), [6, 4, 1, 1])),
    [{ op: 'cp_block', stages: { length: 2 } }]
  )
  const two = stepsOf([1, 4, 9, 9], (b, x) => chain(b, chain(b, x, (b, v) => b.conv(v, [4, 5, 1, 1])).toString()))
  t.match(two, [
    { op: 'cp_block', stages: { length: 4 } },
    { op: 'cp_block', stages: { length: 4 } }
  ])
  const shared = opsOf([1, 4, 9, 9], (b, x) =>
    chain(b, x, (b, v) => b.conv(b.conv(b.conv(v, [4, 5, 1, 1]), [4, 1, 3, 1], { group: int(4) }), [3, 4, 1, 1]))
  )
  t.same(shared, ['cp_block', 'cp_block'], 'a stage belongs to one block')
  t.end()
})

void t.test('what is not a CP chain stays apart', (t) => {
  const all = (build: Build): string[] => opsOf([1, 4, 9, 9], build).filter((op) => op === 'cp_block')
  t.same(
    all((b, x) => b.conv(b.conv(x, [5, 4, 1, 1]), [7, 5, 1, 1])),
    [],
    'no depthwise stage'
  )
  t.same(
    all((b, x) => b.conv(b.node('Relu', [b.conv(x, [4, 1, 3, 3], { group: int(4) })]), [7, 4, 1, 1])),
    [],
    'an activation between'
  )
  t.same(
    all((b, x) => b.conv(b.conv(x, [4, 1, 3, 1], { group: int(4) }), [4, 1, 1, 3], { group: int(4) })),
    [],
    'no expand stage'
  )
  t.same(
    all((b, x) => b.conv(b.conv(x, [4, 1, 3, 1], { group: int(4) }), [7, 4, 1, 1], { strides: [2, 2] })),
    [],
    'an expand stage with strides'
  )
  t.same(
    all((b, x) => b.conv(b.conv(x, [4, 1, 3, 1], { group: int(4) }), [7, 4, 3, 3])),
    [],
    'an expand stage with a window'
  )
  t.same(
    all((b, x) => {
      const y = b.conv(x, [4, 1, 3, 1], { group: int(4) })
      return [b.conv(y, [7, 4, 1, 1]), y]
    }),
    [],
    'a value between is an output'
  )
  t.same(
    all((b, x) => b.conv(b.conv(x, [6, 2, 3, 1], { group: int(2) }), [7, 6, 1, 1])),
    [],
    'two channels a group'
  )
  t.end()
})
