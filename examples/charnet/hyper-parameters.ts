/** Training the dense network from scratch. */
export const denseTraining = {
  epochs: 12,
  learningRate: 0.02,
  momentum: 0.9,
  weightDecay: 5e-4,
  schedule: 'one-cycle',
  labelSmoothing: 0.05
} as const

/** Bringing the decomposed network back to its accuracy. */
export const fineTuning = { epochs: 4, learningRate: 0.005, momentum: 0.9, weightDecay: 1e-4, schedule: 'one-cycle' } as const
