import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { checkInteger } from '../errors.js'

/** More threads than any machine this runs on has; native code refuses more. */
const maximumThreads = 1024

/** `threads` as a number that native code takes, or `POLYADIC_ARGUMENT`. */
export function checkThreads(threads: unknown): number {
  return checkInteger('threads', threads, 1, maximumThreads)
}

/**
 * How many threads this process may keep busy: the least of the processors that it is allowed to run on, the CPU quota of its
 * container (cgroup, rounded up) and OMP_NUM_THREADS. Nothing uses it unless asked to: sessions take one thread by default, since a
 * server has other requests to answer.
 */
export function defaultThreads(): number {
  const limits = [availableParallelism(), cgroupQuota(), ompThreads(process.env.OMP_NUM_THREADS)]
  return Math.max(1, Math.min(maximumThreads, ...limits.filter((limit) => limit !== undefined)))
}

/** OMP_NUM_THREADS may be a list, one number a nesting level; the first counts. */
export function ompThreads(value: string | undefined): number | undefined {
  const first = Number(value?.split(',')[0]?.trim() || NaN)
  return Number.isInteger(first) && first >= 1 ? first : undefined
}

/** Processors that a line of cpu.max ("150000 100000", "max 100000": quota and period in µs) allows; `undefined` without a limit. */
export function parseCpuMax(line: string): number | undefined {
  const [quota, period] = line.trim().split(/\s+/).map(Number)
  if (quota === undefined || period === undefined || !(quota > 0) || !(period > 0)) return undefined
  return Math.max(1, Math.ceil(quota / period))
}

/** The tightest quota of this process's cgroup and the groups around it, version 2 or 1. */
function cgroupQuota(): number | undefined {
  if (process.platform !== 'linux') return undefined
  const root = '/sys/fs/cgroup'
  const own =
    read('/proc/self/cgroup')
      ?.split('\n')
      .find((line) => line.startsWith('0::'))
      ?.slice(3) ?? '/'
  const quotas: (number | undefined)[] = []
  for (let dir = path.posix.join('/', own); ; dir = path.posix.dirname(dir)) {
    quotas.push(parseCpuMax(read(path.posix.join(root, dir, 'cpu.max')) ?? ''))
    if (dir === '/') break
  }
  quotas.push(parseCpuMax(`${read(`${root}/cpu/cpu.cfs_quota_us`) ?? ''} ${read(`${root}/cpu/cpu.cfs_period_us`) ?? ''}`))
  const known = quotas.filter((quota) => quota !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return undefined // not there, or not readable in this container: no limit is known
  }
}
