using System.IO.Hashing;
using System.Runtime.CompilerServices;

// An assembly that names none of another's types does not bring it along.
[assembly: TypeForwardedTo(typeof(NonCryptographicHashAlgorithm))]
