import type { Issue } from '../api/types'

export const isSnoozed = ({ snoozed_until }: Issue) =>
  snoozed_until !== null && new Date(snoozed_until).getTime() > Date.now()
