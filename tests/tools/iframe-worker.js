/* Browsers start no worker from a page of a folder (file://), and the search of the site runs in one. This gives such
   pages a Worker that runs its script in a hidden frame instead; pages of a server keep their own. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.appendChild(frame)
      this.inner = frame.contentWindow
      this.send = this.inner.postMessage.bind(this.inner)  // before the script's own name for it is set below
      this.waiting = []
      window.addEventListener("message", event => {
        if (event.source !== this.inner) return
        const copy = new MessageEvent("message", { data: event.data })
        this.dispatchEvent(copy)
        if (this.onmessage) this.onmessage(copy)
      })
      this.inner.document.open()
      this.inner.document.write(
        "<script>postMessage = message => parent.postMessage(message, '*');" +
        "importScripts = (...urls) => urls.reduce((all, url) => all.then(() => new Promise((done, failed) => {" +
        "const s = document.createElement('script'); s.src = url; s.onload = done; s.onerror = failed;" +
        "document.body.appendChild(s) })), Promise.resolve())<\/script>" +
        "<body><script src='" + url + "'><\/script></body>"
      )
      this.inner.document.close()
      frame.onload = () => { for (const message of this.waiting.splice(0)) this.send(message, "*"); this.ready = true }
    }
    postMessage(message) {
      if (this.ready) this.send(message, "*")
      else this.waiting.push(message)
    }
    terminate() {}
  }
}
