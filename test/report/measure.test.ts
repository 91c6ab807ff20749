import t from 'tap'
import { measureInterleaved, median } from '../../lib/report/measure.js'

t.test('median', async (t) => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2.5)
  t.ok(Number.isNaN(median([])))
})

t.test('candidates take turns and each round begins with another', async (t) => {
  const order: string[] = []
  const slow = (name: string) => ({
    name,
    run: async () => {
      order.push(name)
    }
  })
  const measured = await measureInterleaved([slow('a'), slow('b')], { runs: 4, sampleMs: 0, warmup: 0 })
  t.strictSame(order.slice(4), ['a', 'b', 'b', 'a', 'a', 'b', 'b', 'a'])
  t.strictSame(
    measured.map(({ name, samplesMs }) => [name, samplesMs.length]),
    [
      ['a', 4],
      ['b', 4]
    ]
  )
  t.ok(measured.every(({ medianMs }) => medianMs >= 0))
})

t.test('short runs are repeated within a sample', async (t) => {
  let calls = 0
  await measureInterleaved(
    [
      {
        name: 'x',
        run: () => {
          calls++
        }
      }
    ],
    // So long that the count does not hang on how soon a busy machine lets one call return.
    { runs: 3, sampleMs: 100, warmup: 0 }
  )
  t.ok(calls > 100, `${calls} calls`)
  const asked: number[] = []
  const time = async (repeats: number): Promise<number> => {
    asked.push(repeats)
    return 0.25
  }
  await measureInterleaved([{ name: 'y', run: () => undefined, time }], { runs: 3, sampleMs: 10, warmup: 0 })
  t.strictSame(asked, [1, 1, 40, 40, 40], 'by its own clock')
})

t.test('before a sample the candidate itself runs, by its own clock where it has one', async (t) => {
  const settling: string[] = []
  const time = async (repeats: number): Promise<number> => {
    settling.push(repeats === 1 ? 'one' : 'sample')
    // As a run in another process: the event loop turns meanwhile.
    return await new Promise((resolve) => setImmediate(resolve, 1))
  }
  await measureInterleaved([{ name: 'x', run: () => t.fail('has no clock'), time }], { runs: 2, sampleMs: 7, settleMs: 20, warmup: 0 })
  t.match(settling.join(' '), /^one one (one )+sample (one )+sample$/)
})

t.test('an abort stops it', async (t) => {
  const controller = new AbortController()
  const run = (): void => controller.abort(new Error('enough'))
  await t.rejects(measureInterleaved([{ name: 'x', run }], { runs: 1000, signal: controller.signal }), { message: 'enough' })
})
