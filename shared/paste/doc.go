// Package paste takes off what comes along when people copy a value out of a web page, a mail, a
// terminal or a configuration file: white space, invisible characters, quotes, brackets and the
// punctuation of the sentence around it. It is pure, and it never changes what is inside a value,
// invisible characters aside.
package paste
