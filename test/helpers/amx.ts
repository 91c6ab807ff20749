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

/** AMX as a process can find it here: the processor's own where it has it, else test/native/amx-emulator. */
export interface Amx {
  /** Why no process can; false: one can. */
  readonly missing: string | false
  /** Only the emulator counts what is executed. */
  readonly emulated: boolean
  /** How tests say which of the two they are about. */
  readonly name: string
  /** For a process that is to find AMX. */
  readonly found: Readonly<Record<string, string>>
  /** For one that is to use it and nothing else. */
  readonly forced: Readonly<Record<string, string>>
  executed(): readonly Executed[]
}

/** What test/native/amx-emulator compiles to. */
export interface AmxPrograms {
  /** Why they are not there; false: they are. */
  readonly missing: string | false
  /** For a process in which the system refuses AMX. */
  readonly refused: Readonly<Record<string, string>>
  /** A program that compares tile instructions with the manual. */
  readonly check: string
}

const sources = fileURLToPath(new URL('../native/amx-emulator/', import.meta.url))
const compiler = process.env.CXX ?? 'g++'

/** The emulator is compiled into a folder, if AMX is to be emulated. */
export function findAmx(folder: string): Amx {
  const emulated = !native().cpu().features.amxBf16
  const log = path.join(folder, 'executed')
  const missing = without() || (emulated ? amxPrograms(folder).missing : refusal())
  const found = emulated ? { ...preloaded(folder), AMX_EMULATOR_LOG: log } : {}
  return {
    missing,
    emulated,
    name: emulated ? 'AMX, emulated' : 'AMX, on this processor',
    found,
    forced: { ...found, POLYADIC_BF16: 'amx_bf16' },
    executed: () =>
      existsSync(log)
        ? readFileSync(log, 'utf8')
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line) as Executed)
        : []
  }
}

/** Compiles them into a folder, once; its C++ compiler and AVX512-BF16 are what a machine needs for it. */
export function amxPrograms(folder: string): AmxPrograms {
  const check = path.join(folder, 'check')
  const missing = without() || (existsSync(check) ? false : compile(libraryOf(folder), check))
  return { missing, refused: { ...preloaded(folder), AMX_EMULATOR_REFUSE: '1' }, check }
}

function libraryOf(folder: string): string {
  return path.join(folder, 'amx-emulator.so')
}

function preloaded(folder: string): Readonly<Record<string, string>> {
  const libraries = [process.env.LD_PRELOAD, libraryOf(folder)].filter((one) => one !== undefined && one !== '')
  return { LD_PRELOAD: libraries.join(':'), POLYADIC_AMX: 'emulated' }
}

/** Why neither a processor's AMX nor the emulator's would be used; false: one would. */
function without(): string | false {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'only x64 Linux'
  const { isa, features } = native().cpu()
  return isa !== 'avx512' || !features.avx512Bf16 ? 'what is not AMX needs AVX512-BF16' : false
}

/** Why this processor's AMX cannot be used, nor emulated: its LDTILECFG raises nothing that an emulator could handle. */
function refusal(): string | false {
  const { bf16Reason } = native().cpu()
  return bf16Reason.includes('AMX: the system refused') ? bf16Reason : false
}

function compile(library: string, check: string): string | false {
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
