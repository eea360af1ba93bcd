import type { WebhookHour } from '../api/types'
import { count } from '../shared/format'

export interface OfType {
  type: string
  byWebhook: number
  byFeedOnly: number
  lastDelivery: string | null
  /** Of the newest hour in which one was delivered. */
  delay: string | null
}

/** One row for each type of event; the hours are the newest first. */
export function byType(hours: WebhookHour[]): OfType[] {
  return [...Map.groupBy(hours, ({ type }) => type)]
    .map(([type, own]) => {
      const newest = own.find((hour) => hour.last_delivery !== null)
      return {
        type,
        byWebhook: total(own, 'by_webhook'),
        byFeedOnly: total(own, 'by_feed_only'),
        lastDelivery: newest?.last_delivery ?? null,
        delay: newest?.mean_delay ?? null,
      }
    })
    .sort((one, other) => one.type.localeCompare(other.type))
}

const DAY = 86_400_000
const BY_DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })

/** One bar for each of the last days, the oldest first. */
export function byDay(hours: WebhookHour[], days: number, now = Date.now()) {
  const ofDay = Map.groupBy(hours, ({ hour }) => BY_DAY.format(new Date(hour)))
  return Array.from({ length: days }, (_, at) => {
    const day = BY_DAY.format(now - (days - 1 - at) * DAY)
    const own = ofDay.get(day) ?? []
    return {
      day,
      'By webhook': total(own, 'by_webhook'),
      'Only in the feed': total(own, 'by_feed_only'),
    }
  })
}

/** Whether Stripe's webhooks come now: by the last 24 hours, so that what is mended is over. */
export function verdict(hours: WebhookHour[], now = Date.now()) {
  const recent = hours.filter(({ hour }) => now - new Date(hour).getTime() < DAY)
  const arrived = total(recent, 'by_webhook')
  const missed = total(recent, 'by_feed_only')
  if (arrived + missed === 0) {
    return {
      tone: 'blue',
      title: 'No events in the last 24 hours',
      text: 'Stripe had no events that a webhook could have delivered.',
    }
  }
  if (missed === 0) {
    return {
      tone: 'teal',
      title: 'Webhooks work',
      text: `In the last 24 hours ${count(arrived, 'event')} were received by webhook, and none is missing.`,
    }
  }
  const acted = 'Sweeps process the events in Stripe’s feed.'
  if (arrived === 0) {
    return {
      tone: 'orange',
      title: 'No webhook was received',
      text: `In the last 24 hours Stripe’s feed had ${count(missed, 'event')}, and none was received by webhook. ${acted} Check the endpoint in Stripe’s dashboard.`,
    }
  }
  return {
    tone: 'yellow',
    title: 'Some webhooks were not received',
    text: `In the last 24 hours ${count(arrived, 'event')} were received by webhook, and ${missed} were not. ${acted}`,
  }
}

const total = (hours: WebhookHour[], what: 'by_webhook' | 'by_feed_only') =>
  hours.reduce((sum, hour) => sum + hour[what], 0)
