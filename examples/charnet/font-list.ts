// The families of the demo, as `@fontsource` packages, with the weight drawn when it is not 400.
// Chosen for unlike designs; the weights spread the stroke thickness. Roboto, Merriweather, Lato and
// Montserrat are left out so that a user's own renderings in them stay unseen.

import type { Split } from './atlas.js'

export const fontList: Readonly<Record<Split, string>> = {
  train: `
    eb-garamond crimson-pro@600 libre-baskerville playfair-display@700 bodoni-moda lora alegreya@800
    pt-serif zilla-slab@500 rokkitt@300 arvo old-standard-tt spectral@300 vollkorn@700 im-fell-english
    cormorant-garamond abril-fatface alfa-slab-one special-elite
    open-sans work-sans@700 oswald raleway@300 quicksand josefin-sans fira-sans@500 poppins@600
    barlow-condensed exo-2 titillium-web@700 nunito@900 archivo-black rajdhani@500 play signika@600
    syncopate orbitron michroma
    lobster righteous bungee bangers chewy fredoka@500 shrikhand black-ops-one press-start-2p poiret-one
    cinzel russo-one luckiest-guy
    caveat pacifico dancing-script permanent-marker shadows-into-light amatic-sc@700 indie-flower kalam
    courgette satisfy architects-daughter patrick-hand
    ibm-plex-mono space-mono@700 source-code-pro vt323 share-tech-mono anonymous-pro`,
  validation: `
    domine karla jetbrains-mono@600 kaushan-script carter-one teko philosopher gochi-hand bree-serif
    audiowide`,
  test: `
    source-serif-4 cardo bitter@700 dm-serif-display prata inter cabin@600 rubik@800 dosis varela-round
    league-gothic comfortaa passion-one berkshire-swash gloria-hallelujah handlee yellowtail
    courier-prime inconsolata aldrich germania-one grandstander@500`
}
