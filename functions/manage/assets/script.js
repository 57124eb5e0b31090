// Comfort for the pages, which all work without it: checks as they come, copy buttons, a status that
// refreshes itself, a notice before a session ends. Its words are in the pages, in their language.
'use strict'
{
	/** @param {ParentNode} root */
	const reveal = (root) => {
		for (const e of root.querySelectorAll('button[hidden]')) e.removeAttribute('hidden')
	}

	/** @returns {HTMLElement} */
	const main = () => /** @type {HTMLElement} */ (document.querySelector('main'))

	/**
	 * Returns a copy of what a template of the page holds.
	 * @param {string} id
	 * @returns {HTMLElement}
	 */
	const copyOf = (id) => {
		const template = /** @type {HTMLTemplateElement} */ (document.getElementById(id))
		const copy = /** @type {HTMLElement} */ (document.importNode(template.content, true).firstElementChild)
		reveal(copy)
		return copy
	}

	/** @param {string} html */
	const parse = (html) => new DOMParser().parseFromString(html, 'text/html')

	/** @param {ParentNode} root */
	const focusIn = (root) => {
		const target = root.querySelector('[autofocus], h2')
		if (!(target instanceof HTMLElement)) return
		target.tabIndex = -1
		target.focus()
	}

	// Tells people who do not see it that a button has done its work.
	/**
	 * @param {HTMLButtonElement} button
	 */
	const said = (button) => {
		const live = document.getElementById('said')
		if (live) live.textContent = button.dataset.done ?? ''
		button.classList.add('done')
		setTimeout(() => button.classList.remove('done'), 2000)
	}

	/**
	 * @param {HTMLButtonElement} button
	 * @param {string | Promise<string>} text
	 */
	const copy = async (button, text) => {
		try {
			await navigator.clipboard.writeText(await text)
			said(button)
		} catch { // the browser does not allow it: select it instead
			const shown = button.previousElementSibling
			if (shown) getSelection()?.selectAllChildren(shown)
		}
	}

	let paused = false

	/** @type {Record<string, (button: HTMLButtonElement) => void>} */
	const does = {
		copy: (button) => void copy(button, button.previousElementSibling?.textContent ?? ''),
		'copy-file': (button) => void copy(button, fetch(button.dataset.from ?? '').then((answer) => answer.text())),
		'copy-link': (button) => void copy(button, new URL(button.dataset.from ?? '', location.href).href),
		print: () => print(),
		pause: (button) => {
			paused = !paused
			button.setAttribute('aria-pressed', String(paused))
		},
		show: (button) => {
			const field = document.getElementById(button.getAttribute('aria-controls') ?? '')
			if (!(field instanceof HTMLInputElement)) return
			field.type = field.type === 'password' ? 'text' : 'password'
			button.setAttribute('aria-pressed', String(field.type === 'text'))
		},
	}

	document.addEventListener('click', (event) => {
		const target = event.target instanceof Element ? event.target.closest('button[data-do], a[data-theme-choice]') : null
		if (target instanceof HTMLButtonElement) does[target.dataset.do ?? '']?.(target)
		const elsewhere = event.ctrlKey || event.metaKey || event.shiftKey // a tab or a window of its own
		if (target instanceof HTMLAnchorElement && !elsewhere) {
			event.preventDefault()
			document.documentElement.dataset.theme = target.dataset.themeChoice
			for (const other of document.querySelectorAll('a[data-theme-choice]')) other.setAttribute('aria-current', String(other === target))
			void fetch(target.href) // which keeps the choice
		}
	})

	/** @param {Document} page the page that answers a form, with the form again */
	const show = (page) => {
		const answer = page.querySelector('main')
		if (!answer) return
		document.title = page.title
		const staying = document.getElementById('staying') ?? ''
		main().replaceChildren(staying, ...answer.childNodes)
		reveal(main())
		focusIn(main())
		scrollTo(0, 0)
	}

	/**
	 * Reads the events of a stream, one JSON object in each line.
	 * @param {ReadableStream<Uint8Array>} body
	 */
	async function* events(body) {
		const reader = body.pipeThrough(/** @type {ReadableWritablePair<string, Uint8Array>} */ (new TextDecoderStream())).getReader()
		for (let text = ''; ;) {
			const { value, done } = await reader.read()
			if (done) return
			const lines = (text + value).split('\n')
			text = lines.pop() ?? ''
			for (const line of lines) yield JSON.parse(line)
		}
	}

	// Shows the checks of one form while they run.
	class Checks {
		/** @param {HTMLFormElement} form */
		constructor(form) {
			this.form = form
			this.section = copyOf('progress')
			this.heading = /** @type {HTMLElement} */ (this.section.querySelector('h2'))
			this.list = /** @type {HTMLElement} */ (this.section.querySelector('ol'))
			/** @type {Record<string, string>} the titles of the checks, by id */
			this.titles = JSON.parse(this.list.dataset.titles ?? '{}')
			/** @type {string[]} the ids of all checks, in their order */
			this.ids = []
			this.done = 0
			for (const note of main().querySelectorAll('.note:not(#staying), .errors')) note.remove()
			form.before(this.section)
			form.hidden = true
			this.count()
			this.heading.focus()
		}

		count() {
			const all = this.ids.length
			const words = (all ? this.heading.dataset.words : this.heading.dataset.begin) ?? ''
			this.heading.textContent = words.replace('{i}', String(Math.min(this.done + 1, all))).replace('{n}', String(all))
		}

		// The checks stand in the order of the report. That of the fields comes last, because the date of the
		// secret's end may be found out by others.
		/** @param {{id: string, status: string, title: string, message: string}} check */
		add(check) {
			const item = copyOf('check-' + check.status)
			for (const [name, text] of [['strong', this.titles[check.id] ?? check.title], ['p', check.status === 'pass' ? '' : check.message]]) {
				const place = item.querySelector(name)
				if (place) place.textContent = text
			}
			const place = this.ids.indexOf(check.id)
			const later = [...this.list.querySelectorAll('li')].find((other) => Number(other.dataset.place) > place)
			item.dataset.place = String(place)
			this.list.insertBefore(item, later ?? null)
			this.done++
			this.count()
		}

		/**
		 * Gives the form back as it was, the secret too.
		 * @param {HTMLElement} note why
		 */
		giveBack(note) {
			this.section.replaceWith(note)
			this.form.hidden = false
			reveal(note)
			focusIn(note)
		}

		/**
		 * Shows the page that answers. One without the form says why nothing came of it, and the form
		 * comes back as it was.
		 * @param {string} html
		 */
		answered(html) {
			const page = parse(html)
			const answer = page.querySelector('main')
			if (answer?.querySelector('form[data-checks]')) return show(page)
			const account = page.querySelector('.account')
			if (account) document.querySelector('.account')?.replaceWith(account)
			const note = copyOf('lost')
			const why = answer?.querySelector('h1')
			if (answer && why) {
				const heading = document.createElement('h2')
				heading.textContent = why.textContent
				why.replaceWith(heading)
				note.replaceChildren(...answer.childNodes)
			}
			this.giveBack(note)
		}

		/** @param {Response} answer */
		async follow(answer) {
			if (answer.redirected) return this.leave(answer.url)
			if (answer.status === 401) {
				const note = parse(await answer.text()).querySelector('.note')
				return this.giveBack(note instanceof HTMLElement ? note : copyOf('lost'))
			}
			if (!answer.body || !answer.headers.get('Content-Type')?.startsWith('application/x-ndjson')) {
				return this.answered(await answer.text())
			}
			for await (const event of events(answer.body)) {
				if (event.event === 'start') this.ids = event.checks
				if (event.event === 'check') this.add(event.check)
				else this.count()
				if (event.event !== 'end') continue
				if (event.body.location) return this.leave(event.body.location)
				return this.answered(event.body.html)
			}
			this.giveBack(copyOf('lost')) // nobody knows what came of it
		}

		/** @param {string} to */
		leave(to) {
			this.form.reset() // a page that is gone back to holds no secret
			location.assign(to)
		}
	}

	document.addEventListener('submit', (event) => {
		const form = event.target
		if (!(form instanceof HTMLFormElement) || !form.matches('[data-checks]')) return
		event.preventDefault()
		for (const field of form.querySelectorAll('[aria-pressed=true]')) if (field instanceof HTMLElement) field.click() // hides the secret again
		const body = new URLSearchParams()
		for (const [name, value] of new FormData(form, event.submitter)) body.append(name, String(value))
		const checks = new Checks(form)
		fetch(form.action, { method: 'POST', body, headers: { Accept: 'application/x-ndjson' } })
			.then((answer) => checks.follow(answer))
			.catch(() => checks.giveBack(copyOf('lost')))
	})

	// What the URL of a FHIR server tells, as soon as it is typed.
	document.addEventListener('change', async (event) => {
		const field = event.target
		if (!(field instanceof HTMLInputElement) || !field.dataset.asks || !field.form) return
		const place = document.getElementById(field.id + '-found')
		if (!place) return
		place.textContent = ''
		if (field.value.trim() === '') return
		const body = new URLSearchParams({ for: String(new FormData(field.form).get('for')), [field.name]: field.value })
		const asked = field.value
		const answer = await fetch(field.dataset.asks, { method: 'POST', body }).catch(() => null)
		if (!answer?.ok || field.value !== asked) return
		const found = await answer.json()
		const english = document.createElement('span')
		english.lang = 'en'
		english.textContent = found.english
		place.replaceChildren(found.text, ' ', english)
	})

	// A server that waits for access shows by itself when that has come.
	setInterval(async () => {
		const waiting = document.querySelector('[data-refresh]')
		if (!waiting || paused || document.hidden) return
		const answer = await fetch(location.pathname + '?done=waited').catch(() => null)
		if (answer?.status === 401) return ended()
		if (!answer?.ok) return
		document.querySelector('#staying[data-over]')?.remove()
		const page = parse(await answer.text())
		for (const id of ['state', 'status', 'last']) {
			const [fresh, old] = [page.getElementById(id), document.getElementById(id)]
			if (!fresh || !old || fresh.innerHTML === old.innerHTML) continue
			const focused = old.contains(document.activeElement)
			old.replaceChildren(...fresh.childNodes) // the element stays, as what is live in it is told
			reveal(old)
			if (focused) focusIn(old)
		}
		if (page.querySelector('[data-refresh]')) return
		waiting.removeAttribute('data-refresh')
		const pause = document.querySelector('[data-do=pause]')
		if (pause === document.activeElement) main().focus()
		pause?.remove()
	}, 15e3)

	// Offers to sign in beside the page, which stays as it is.
	const offer = () => {
		const note = copyOf('stay')
		note.id = 'staying'
		document.getElementById(note.id)?.remove()
		main().prepend(note)
		const live = document.getElementById('said')
		if (live) live.textContent = note.querySelector('h2')?.textContent ?? ''
		note.querySelector('a')?.addEventListener('click', () => {
			note.remove()
			setTimeout(() => void look().catch(() => {}), 30e3)
		})
		return note
	}

	// Looks how long the session lasts now: another tab may have renewed it.
	const look = async () => watch(parse(await (await fetch('/api/manage/about')).text()))

	// The session has ended: until somebody signs in again, nothing refreshes itself.
	const ended = () => {
		if (document.querySelector('#staying[data-over]')) return
		const note = offer()
		for (const [name, text] of [['h2', note.dataset.ended], ['a', note.dataset.again]]) {
			const place = note.querySelector(name ?? '')
			if (place) place.textContent = text ?? ''
		}
		note.dataset.over = ''
	}

	// Five minutes before a session ends, people can stay signed in without leaving the page.
	/** @param {ParentNode} page */
	const watch = (page) => {
		const left = Number(page.querySelector('[data-left]')?.getAttribute('data-left'))
		if (left > 300) setTimeout(() => void look().catch(offer), (left - 300) * 1000)
		else if (left) offer()
	}

	reveal(document)
	watch(document)
}
