import { availableParallelism } from 'node:os'
import t from 'tap'
import { checkThreads, defaultThreads, ompThreads, parseCpuMax } from '../../lib/runtime/threads.js'
import { throwsError } from '../helpers/expect-error.js'

void t.test('quota and environment', (t) => {
  t.equal(parseCpuMax('max 100000'), undefined)
  t.equal(parseCpuMax('200000 100000'), 2)
  t.equal(parseCpuMax('150000 100000\n'), 2)
  t.equal(parseCpuMax('10000 100000'), 1)
  t.equal(parseCpuMax('-1 100000'), undefined, 'version 1 without a limit')
  t.equal(parseCpuMax(''), undefined)
  t.equal(ompThreads('4'), 4)
  t.equal(ompThreads('3,2'), 3)
  for (const value of [undefined, '', 'x', '0', '-2', '1.5']) t.equal(ompThreads(value), undefined)
  t.end()
})

void t.test('the default is an upper bound that OMP_NUM_THREADS lowers', (t) => {
  const before = process.env.OMP_NUM_THREADS
  t.teardown(() => (before === undefined ? delete process.env.OMP_NUM_THREADS : (process.env.OMP_NUM_THREADS = before)))
  process.env.OMP_NUM_THREADS = '1'
  t.equal(defaultThreads(), 1)
  process.env.OMP_NUM_THREADS = '1000'
  t.ok(defaultThreads() >= 1 && defaultThreads() <= availableParallelism())
  t.end()
})

void t.test('explicit numbers are checked', (t) => {
  t.equal(checkThreads(3), 3)
  for (const threads of [0, -1, 1.5, NaN, '2', 5000, undefined]) throwsError(t, () => checkThreads(threads), 'POLYADIC_ARGUMENT', 'threads')
  t.end()
})
