(() => {
  let theme = null;
  try { theme = localStorage.getItem('theme'); } catch { /* without storage: what the system says */ }
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  document.documentElement.dataset.theme = ['dark', 'light'].includes(theme) ? theme : system;
})();
