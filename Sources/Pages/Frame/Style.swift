/// The one style sheet of all pages, carried inside each of them.
enum Style {
    /// Follows the reader's choice of light or dark; works from 320 pixels on.
    static let sheet = """
        :root{color-scheme:light dark;--ground:#faf7f1;--card:#fffdf9;--ink:#211c16;--soft:#6b6257;--line:#e6ded1;\
        --leaf:#2c6a4d;--leaf-ink:#fffdf9;--tint:#e7f0e9;--alarm:#a3341f;--alarm-tint:#fbeae5}
        @media (prefers-color-scheme:dark){:root{--ground:#15171a;--card:#1c1f23;--ink:#ece7df;--soft:#a49c90;\
        --line:#2e3238;--leaf:#8ecfae;--leaf-ink:#10201a;--tint:#1d2b26;--alarm:#f0917c;--alarm-tint:#33201c}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--ground);color:var(--ink);font:1.0625rem/1.6 system-ui,-apple-system,"Segoe UI",\
        Roboto,"Noto Sans",sans-serif;overflow-wrap:anywhere}
        .wrap{max-width:44rem;margin:0 auto;padding:1.5rem 1.25rem 3rem}
        .top{display:flex;align-items:center;gap:.6rem;padding:.25rem 0 2.25rem;color:var(--soft);font-size:.9375rem}
        .top svg{width:1.75rem;height:1.75rem;color:var(--leaf)}
        .top a{color:var(--ink);font-weight:650;letter-spacing:.01em;text-decoration:none}
        h1,h2{font-family:ui-serif,"Iowan Old Style","Palatino Linotype",Georgia,serif;line-height:1.15;\
        font-weight:600;text-wrap:balance}
        h1{font-size:clamp(2rem,1.4rem + 3vw,2.875rem);margin:0 0 .75rem;letter-spacing:-.015em}
        h2{font-size:1.375rem;margin:0 0 .75rem}
        p{margin:0 0 1rem}
        .lead{font-size:1.1875rem;color:var(--soft);max-width:36rem}
        .card{background:var(--card);border:1px solid var(--line);border-radius:.875rem;padding:1.5rem;margin:1.5rem 0 0}
        .card>:last-child{margin-bottom:0}
        .pair{display:grid;gap:1.5rem;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr))}
        .pair .card{margin:0}
        .pair{margin-top:1.5rem}
        a{color:var(--leaf);text-underline-offset:.18em;text-decoration-thickness:.06em}
        a:hover{text-decoration-thickness:.12em}
        code,kbd{font:.9em ui-monospace,"SF Mono",Menlo,Consolas,monospace;background:var(--tint);padding:.1em .35em;\
        border-radius:.3rem}
        pre{background:var(--tint);border-radius:.6rem;padding:.9rem 1rem;overflow-x:auto;margin:0 0 1rem}
        pre code{background:none;padding:0}
        ul.people{list-style:none;margin:0;padding:0;display:grid;gap:.15rem .75rem;\
        grid-template-columns:repeat(auto-fill,minmax(14rem,1fr))}
        .people li{display:flex;align-items:center;gap:.7rem;padding:.35rem 0;min-width:0}
        .people span:last-child{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
        .people span:last-child i{font-style:normal;color:var(--soft)}
        .face{flex:none;width:2.25rem;height:2.25rem;border-radius:50%;display:grid;place-items:center;\
        font-weight:600;color:#1d1a16;background:#d9c7a3;text-transform:uppercase}
        .f1{background:#b9d4c2}.f2{background:#e3b9a4}.f3{background:#b7c9e2}.f4{background:#dcc3dd}.f5{background:#e6d38c}
        .quiet{color:var(--soft)}
        ol.steps{margin:0;padding:0;list-style:none;counter-reset:step}
        .steps li{counter-increment:step;position:relative;padding:0 0 1.1rem 2.75rem}
        .steps li:last-child{padding-bottom:0}
        .steps li::before{content:counter(step);position:absolute;left:0;top:0;width:1.75rem;height:1.75rem;\
        border-radius:50%;background:var(--tint);color:var(--leaf);font-weight:650;display:grid;place-items:center;\
        font-size:.9375rem}
        .steps p{margin:.25rem 0 0}
        .steps pre{margin:.5rem 0 0}
        dl.facts{display:grid;grid-template-columns:auto 1fr;gap:.35rem 1.25rem;margin:0}
        .facts dt{color:var(--soft)}
        .facts dd{margin:0}
        form{margin:0}
        .field{margin:0 0 1.25rem}
        label{display:block;font-weight:600;margin:0 0 .3rem}
        .hint{display:block;color:var(--soft);font-size:.9375rem;margin:.3rem 0 0}
        .joined{display:flex;align-items:stretch}
        .joined input{border-radius:.55rem 0 0 .55rem}
        .joined span{display:flex;align-items:center;padding:0 .8rem;border:1px solid var(--line);border-left:0;\
        border-radius:0 .55rem .55rem 0;color:var(--soft);background:var(--ground);white-space:nowrap;max-width:55%;\
        overflow:hidden;text-overflow:ellipsis}
        input{width:100%;min-width:0;font:inherit;color:inherit;background:var(--ground);border:1px solid var(--line);\
        border-radius:.55rem;padding:.6rem .8rem}
        input:focus-visible,button:focus-visible,a:focus-visible{outline:3px solid var(--leaf);outline-offset:2px;\
        border-radius:.55rem}
        input[aria-invalid=true]{border-color:var(--alarm)}
        .fault{display:block;color:var(--alarm);font-size:.9375rem;font-weight:600;margin:.3rem 0 0}
        .notice{background:var(--alarm-tint);color:var(--alarm);border-radius:.6rem;padding:.75rem 1rem}
        button{font:inherit;font-weight:650;color:var(--leaf-ink);background:var(--leaf);border:0;border-radius:.6rem;\
        padding:.7rem 1.4rem;cursor:pointer}
        button:hover{filter:brightness(1.08)}
        footer{margin-top:2.5rem;padding-top:1.25rem;border-top:1px solid var(--line);color:var(--soft);\
        font-size:.9375rem;display:flex;flex-wrap:wrap;gap:.35rem 1.25rem}
        footer a{color:inherit}
        """
}
