import { type CSSVariablesResolver, createTheme, darken, type MantineTheme } from '@mantine/core'

export const theme = createTheme({
  primaryColor: 'indigo',
  // Dark enough for white letters, and readable on both backgrounds.
  primaryShade: { light: 7, dark: 7 },
  autoContrast: true,
  respectReducedMotion: true,
  defaultRadius: 'md',
  fontFamily: 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif',
  components: {
    // By itself it is too pale to be read by everybody, and its button has no name.
    Notification: {
      defaultProps: { closeButtonProps: { 'aria-label': 'Dismiss' } },
      styles: { description: { color: 'var(--mantine-color-text)' } },
    },
  },
})

/** Small words that are still easy to read: at least 4.5 to 1 on every background here. */
export const readableColours: CSSVariablesResolver = ({ colors }) => ({
  variables: {},
  light: { '--mantine-color-dimmed': colors.gray[7], ...onTintedBackgrounds(colors) },
  dark: { '--mantine-color-dimmed': colors.dark[1] },
})

/** Badges and boxes whose background has a tint of the colour that they are written in. */
function onTintedBackgrounds(colors: MantineTheme['colors']) {
  const darker = Object.entries(colors).map(([name, shades]) => [
    `--mantine-color-${name}-light-color`,
    darken(shades[9], 0.35),
  ])
  return Object.fromEntries(darker) as Record<string, string>
}
