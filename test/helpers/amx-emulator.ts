import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { native } from '../../lib/native/binding.js'

/** What processes executed under the emulator, one after another. */
export interface Executed {
  readonly configured: number
  readonly released: number
  readonly loads: number
  readonly stores: number
  readonly products: number
}

export interface AmxEmulator {
  /** Why there is none; false: there is. */
  readonly missing: string | false
  /** For a process that is to find AMX and to use it. */
  readonly env: Readonly<Record<string, string>>
  /** Its self-test, a program. */
  readonly check: string
  executed(): readonly Executed[]
}

const sources = fileURLToPath(new URL('../native/amx-emulator/', import.meta.url))
const compiler = process.env.CXX ?? 'g++'

/** Compiles test/native/amx-emulator into a folder, where this machine can: it is x64 Linux with AVX512-BF16 and has a C++ compiler. */
export function amxEmulator(folder: string): AmxEmulator {
  const library = path.join(folder, 'amx-emulator.so')
  const check = path.join(folder, 'check')
  const log = path.join(folder, 'executed')
  const missing = compile(library, check)
  const preload = [process.env.LD_PRELOAD, library].filter((one) => one !== undefined && one !== '').join(':')
  return {
    missing,
    env: { LD_PRELOAD: preload, POLYADIC_AMX: 'emulated', POLYADIC_BF16: 'amx_bf16', AMX_EMULATOR_LOG: log },
    check,
    executed: () =>
      existsSync(log)
        ? readFileSync(log, 'utf8')
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line) as Executed)
        : []
  }
}

function compile(library: string, check: string): string | false {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'only x64 Linux'
  const { isa, features } = native().cpu()
  if (isa !== 'avx512' || !features.avx512Bf16) return 'what is not AMX needs AVX512-BF16'
  const warnings = ['-std=c++17', '-Wall', '-Wextra']
  // With AddressSanitizer it checks what tiles load and store as well.
  const sanitize = process.env.POLYADIC_SANITIZER === 'address' ? ['-fsanitize=address', '-g'] : []
  const fast = ['-O3', '-mavx2', '-mfma', '-ffp-contract=off']
  // A sanitizer is not for the compiler: it would report what that does not free.
  const { LD_PRELOAD: _, ...env } = process.env
  const run = (...args: readonly string[]): unknown => execFileSync(compiler, [...warnings, ...args], { env })
  try {
    run(...fast, ...sanitize, '-fPIC', '-shared', '-o', library, path.join(sources, 'emulator.cpp'), '-ldl')
    run('-O1', '-fno-pie', '-no-pie', '-pthread', '-o', check, path.join(sources, 'check.cpp'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return `no C++ compiler (${compiler})`
    throw error
  }
  return false
}
