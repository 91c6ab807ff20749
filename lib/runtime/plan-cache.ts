import { onAbort } from '../abortable.js'
import { fasterPlan, fasterPlanSync } from './contest.js'
import { draftPlan, makePlan, type Plan, preparePlan, type PlanRequest } from './plan.js'
import type { UsedPrecision } from './precision.js'

/**
 * The plans of a session, those used last. When it is closed, or a plan makes room for another, runs of that plan still finish, and whoever
 * waits for one that is being made gets it.
 */
export class PlanCache {
  readonly #most: number
  /** Undefined: each plan is to be measured. */
  readonly #used: UsedPrecision | undefined
  /** By input shapes, in the order of use. */
  readonly #plans = new Map<string, Plan>()
  /** Those being made off this thread, likewise. */
  readonly #making = new Map<string, Making>()
  #latest: Plan | undefined
  #isClosed = false

  constructor(most: number, used: UsedPrecision | undefined) {
    this.#most = most
    this.#used = used
  }

  /** The plan used last. */
  get latest(): Plan | undefined {
    return this.#latest
  }

  /** The plan that was asked for, if there is one already. */
  find(request: PlanRequest): Plan | undefined {
    const key = keyOf(request)
    const known = this.#plans.get(key)
    return known && this.#keep(key, known)
  }

  /** The plan that was asked for, made on this thread where there is none yet. */
  get(request: PlanRequest): Plan {
    const key = keyOf(request)
    const make = (): Plan => (this.#used === undefined ? fasterPlanSync(request) : makePlan(request, draftPlan(request, this.#used)))
    return this.#keep(key, this.#plans.get(key) ?? make())
  }

  /**
   * Makes a plan that `find` has not found: packs its weights off this thread and, where its precision is to be measured, runs it. `start` is
   * called when it is there, before anybody may close it, and gives the result. Rejects with the signal's reason as soon as that is aborted,
   * unless `start` was called; the plan is made all the same, for the next one who asks.
   */
  whenMade<T>(request: PlanRequest, start: (plan: Plan) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const key = keyOf(request)
    let making = this.#making.get(key)
    if (making === undefined) {
      making = new Making(prepare(request, this.#used), (plan) => this.#take(key, plan))
      this.#making.set(key, making)
    }
    return making.wait(start, signal)
  }

  close(): void {
    this.#isClosed = true
    for (const plan of this.#plans.values()) plan.native.close()
    this.#plans.clear()
    this.#latest = undefined
  }

  /** Waits until no plan is being made. */
  async idle(): Promise<void> {
    await Promise.all([...this.#making.values()].map(({ ended }) => ended))
  }

  /**
   * Nobody makes the plan any longer: here it is, unless that failed. Returns whether it is kept: not when the cache was closed meanwhile, or somebody
   * has made one on this thread.
   */
  #take(key: string, plan: Plan | undefined): boolean {
    this.#making.delete(key)
    if (plan === undefined || this.#isClosed || this.#plans.has(key)) return false
    this.#keep(key, plan)
    return true
  }

  /** Puts a plan last in the order of use. */
  #keep(key: string, plan: Plan): Plan {
    this.#plans.delete(key)
    this.#plans.set(key, plan)
    for (const [oldest, { native }] of this.#plans) {
      if (this.#plans.size <= this.#most) break
      native.close()
      this.#plans.delete(oldest)
    }
    this.#latest = plan
    return plan
  }
}

async function prepare(request: PlanRequest, used: UsedPrecision | undefined): Promise<Plan> {
  return used === undefined ? await fasterPlan(request) : await preparePlan(request, draftPlan(request, used))
}

/** A plan that is being made, and who waits for it. */
class Making {
  /** Fulfilled when the plan is made, or could not be, and all who waited have been told. */
  readonly ended: Promise<void>
  readonly #waiting = new Set<{ made(plan: Plan): void; failed(error: unknown): void }>()

  /**
   * `take` is given the plan, or nothing when it could not be made; nobody may begin to wait afterwards. It says whether the plan is kept; else it is closed
   * once those who wait have started what they want of it.
   */
  constructor(plan: Promise<Plan>, take: (plan: Plan | undefined) => boolean) {
    this.ended = plan.then(
      (plan) => {
        const isKept = take(plan)
        // In this very turn: a plan that is kept may be closed in the next one, to make room for another.
        for (const { made } of this.#waiting) made(plan)
        if (!isKept) plan.native.close()
      },
      (error: unknown) => {
        take(undefined)
        for (const { failed } of this.#waiting) failed(error)
      }
    )
  }

  wait<T>(start: (plan: Plan) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let forget = (): void => {}
      const one = {
        made: (plan: Plan): void => {
          forget()
          try {
            resolve(start(plan))
          } catch (error) {
            reject(error as Error)
          }
        },
        failed: (error: unknown): void => {
          forget()
          reject(error as Error)
        }
      }
      this.#waiting.add(one)
      if (signal !== undefined) {
        forget = onAbort(signal, () => {
          this.#waiting.delete(one)
          reject(signal.reason as Error)
        })
      }
    })
  }
}

function keyOf({ inputShapes, inputValues }: PlanRequest): string {
  return JSON.stringify([[...inputShapes.values()], Object.values(inputValues).map(({ data }) => Array.from(data as Float32Array, String))])
}
