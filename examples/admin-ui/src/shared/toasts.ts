import { notifications } from '@mantine/notifications'
import type { Problem } from '../api/problem'

export function toastProblem({ title, message }: Problem) {
  notifications.show({ color: 'red', title, message, autoClose: 12_000 })
}

export function toastDone(title: string, message: string, color = 'teal') {
  notifications.show({ color, title, message, autoClose: 8_000 })
}
