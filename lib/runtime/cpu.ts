import { checkString } from '../arguments.js'
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
  /** The bfloat16 kernels in use, such as `avx512_bf16`; `undefined`: there are none. */
  readonly bf16: string | undefined
  /** Why there are none, or why not the best ones that the processor has: the system may refuse AMX. */
  readonly bf16Reason: string | undefined
  /** What the processor has, whether polyadic uses it or not. */
  readonly features: { readonly avx512Bf16: boolean; readonly amxBf16: boolean }
}

/** The kernels chosen on this machine and what there is to choose from. */
export function cpu(): Cpu {
  const found = fromNative(() => native().cpu())
  return { ...found, bf16: found.bf16 ?? undefined, bf16Reason: found.bf16Reason === '' ? undefined : found.bf16Reason }
}

/** Forces kernels by name, before anything has run. Throws `POLYADIC_UNSUPPORTED` or `POLYADIC_ARGUMENT` when that cannot be. */
export function setIsa(name: string): void {
  checkString('name', name, 'the name of an ISA, such as avx2')
  fromNative(() => native().setIsa(name))
}
