import os from 'node:os'
import { native } from '../native/binding.js'
import { fromNative } from '../native/jobs.js'

/** What a reader of a figure must know about where it comes from. */
export interface Machine {
  readonly cpu: string
  /** Logical processors that this process may use. */
  readonly cores: number
  readonly memoryGiB: number
  readonly os: string
  readonly isa: string
  readonly availableIsas: readonly string[]
}

/** This machine, and the kernels chosen on it. */
export function machine(): Machine {
  const { isa, available } = fromNative(() => native().cpu())
  return {
    cpu: os.cpus()[0]?.model.trim() || 'unknown',
    cores: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    os: `${os.type()} ${os.release()} ${os.arch()}`,
    isa,
    availableIsas: available
  }
}
