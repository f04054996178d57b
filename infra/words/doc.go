// Package words says what a word is, for every search store alike: what people
// write, and what others type to find it.
//
// A word is a run of letters and digits, compared without case, accents, width
// and the other differences in form that Unicode keeps for compatibility only.
// In scripts without spaces (Chinese, Japanese, Korean, Thai and their
// neighbours) every character counts as a word, and a query wants those that it
// has side by side to be side by side. An emoji is a word of its own.
//
// A store indexes the terms of [AppendTerms], asks its index for the
// [Query.Conditions] of a query, and shows what [Query.Find] cuts out. An index
// needs nothing but to split terms at spaces, so that all stores find the same.
// Whoever changes what the terms of a text are has to have every index rebuilt.
//
// Everything is safe for any input; [Query.Find] takes time by words of the query
// times words of the text, the rest is linear.
package words
