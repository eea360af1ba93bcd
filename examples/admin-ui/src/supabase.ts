import { createClient } from '@supabase/supabase-js'
import { config } from './config'

/** The one client. In the demonstration, its server plays Supabase. */
export const supabase = createClient(config.url, config.anonKey)
