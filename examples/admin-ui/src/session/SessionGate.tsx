import type { Session } from '@supabase/supabase-js'
import { useQueryClient } from '@tanstack/react-query'
import { Fragment, type ReactNode, useEffect, useRef, useState } from 'react'
import { supabase } from '../supabase'
import { SignIn } from './SignIn'

/** Lets in who is signed in. Whether they are an admin, the database says. */
export function SessionGate({ children }: { children: ReactNode }) {
  const [session, setSession] = useState<Session | null | 'unknown'>('unknown')
  const user = useRef<string>(undefined)
  const queries = useQueryClient()
  useEffect(() => {
    const { data } = supabase.auth.onAuthStateChange((_event, now) => {
      // What one person has seen is not for the next.
      if (user.current !== now?.user.id) queries.clear()
      user.current = now?.user.id
      setSession(now)
    })
    return () => data.subscription.unsubscribe()
  }, [queries])
  if (session === 'unknown') return null
  return session ? <Fragment key={session.user.id}>{children}</Fragment> : <SignIn />
}
