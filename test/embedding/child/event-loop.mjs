// The delay of the event loop while the compute thread always has work: a histogram.
import assert from 'node:assert/strict'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { count, prepared } from './common.mjs'

// A run takes tens of milliseconds on any machine.
const { session, x } = await prepared({ size: 192, channels: 512 })
const delay = monitorEventLoopDelay({ resolution: 1 })
const runs = count(40)
let left = runs
// Two at a time: one runs, one waits.
const lane = async () => {
  while (left-- > 0) await session.run({ x })
}
await session.run({ x })
delay.enable()
await Promise.all([lane(), lane()])
delay.disable()
// Were the loop blocked by a run, there would be one sample in each. On a machine where others take most of the time it still turns several times.
assert(delay.count > 4 * runs, `${delay.count} samples in ${runs} runs`)
const ms = (value) => Math.round(value / 1e3) / 1e3
console.log(
  JSON.stringify({ samples: delay.count, ms: { p50: ms(delay.percentile(50)), p99: ms(delay.percentile(99)), max: ms(delay.max) } })
)
