import type { Session } from '@supabase/supabase-js'
import { type ReactNode, useEffect, useState } from 'react'
import { isDemo } from '../config'
import { supabase } from '../supabase'
import { SignIn } from './SignIn'

/** Lets in who is signed in; in the demonstration, everybody. */
export function SessionGate({ children }: { children: ReactNode }) {
  return isDemo ? children : <SupabaseGate>{children}</SupabaseGate>
}

function SupabaseGate({ children }: { children: ReactNode }) {
  const [session, setSession] = useState<Session | null | 'unknown'>('unknown')
  useEffect(() => {
    const { data } = supabase.auth.onAuthStateChange((_event, now) => setSession(now))
    return () => data.subscription.unsubscribe()
  }, [])
  if (session === 'unknown') return null
  return session ? children : <SignIn />
}
