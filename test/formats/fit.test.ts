import t from 'tap'
import { fittedExample } from '../../lib/formats/fit.js'
import type { ValueInfo } from '../../lib/graph/graph.js'

const input = (...dims: (number | string)[]): ValueInfo => ({ name: 'x', dtype: 'float32', dims })

t.test('what the network fixes has to be so, what it leaves open is as in the file', async (t) => {
  t.strictSame(fittedExample('f', [3, 24, 20], input('N', 3, 24, 20)), [3, 24, 20])
  t.strictSame(fittedExample('f', [3, 24, 20], input('N', 3, 'h', 'w')), [3, 24, 20])
  t.strictSame(fittedExample('f', [3, 24, 20], input(1, 3, 0, -1)), [3, 24, 20], 'as some exporters write open dims')
  t.strictSame(fittedExample('f', [5], { name: 'x', dtype: 'float32', dims: undefined }), [5])
  t.strictSame(fittedExample('f', [24, 20], input('N', 1, 'h', 'w')), [1, 24, 20], 'one channel may be left out')
  t.strictSame(fittedExample('f', [400], input('N', 1, 't')), [1, 400])
})

t.test('what does not fit names the file, and the order of axes that would', async (t) => {
  const refused = (dims: readonly number[], of: ValueInfo, expected?: readonly number[]) => {
    try {
      return `none: ${fittedExample('data/inputs.npy', dims, of, expected)}`
    } catch (error) {
      t.match(error, { code: 'POLYADIC_SHAPE', subject: 'data/inputs.npy' })
      return (error as Error).message
    }
  }
  t.equal(
    refused([24, 24, 3], input('N', 3, 24, 24)),
    '"data/inputs.npy": examples are 24×24×3, the network takes 3×24×24: transpose them to N×C×H×W, x.transpose(0, 3, 1, 2)'
  )
  t.match(refused([24, 20, 3], input('N', 3, 'h', 'w')), /takes 3×h×w: transpose them to N×C×H×W, x\.transpose\(0, 3, 1, 2\)/)
  t.match(refused([3, 24, 20], input('N', 24, 20, 3)), /takes 24×20×3: transpose them, x\.transpose\(0, 2, 3, 1\)$/)
  t.match(refused([3, 20, 24], input('N', 3, 24, 20)), /x\.transpose\(0, 1, 3, 2\)$/)
  t.match(refused([8, 32, 30, 3], input('N', 3, 8, 32, 30)), /transpose them, x\.transpose\(0, 4, 1, 2, 3\)$/)
  t.match(refused([1, 24, 24], input('N', 3, 24, 24)), /examples are 1×24×24, the network takes 3×24×24$/)
  t.match(refused([24, 24], input('N', 3, 24, 24)), /examples are 24×24, the network takes 3×24×24$/)
  t.match(refused([3, 24, 24], input('N', 3, 'h', 'w'), [3, 32, 32]), /--shape says 3×32×32$/)
})
