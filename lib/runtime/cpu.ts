import { native } from '../native/binding.js'
import { fromNative } from '../native/jobs.js'

/** What polyadic found on this machine: wanted in every bug report. */
export interface Cpu {
  /** The kernel table in use. */
  readonly isa: string
  /** All that this processor and system can run, best first. */
  readonly available: readonly string[]
  /** Logical processors. */
  readonly threads: number
  /** What runs parallel loops: `openmp` or `std::thread`. */
  readonly backend: string
}

/** The kernels chosen on this machine and what there is to choose from. */
export function cpu(): Cpu {
  return fromNative(() => native().cpu())
}

/** Forces kernels by name, before anything has run. Throws `POLYADIC_UNSUPPORTED` or `POLYADIC_ARGUMENT` when that cannot be. */
export function setIsa(name: string): void {
  fromNative(() => native().setIsa(name))
}
