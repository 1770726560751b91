namespace DarkStorage.Storage.ErasureCoding;

/// <summary>GF(2^8): bytes as polynomials over GF(2), modulo x^8 + x^4 + x^3 + x^2 + 1 (0x11D). 2 generates its multiplicative group.</summary>
internal static class GaloisField
{
    private const int Polynomial = 0x11D;
    private const int Order = 256;

    /// <summary>Row <c>a</c>, column <c>b</c>: the product of both.</summary>
    private static readonly byte[] Products = MakeProducts();

    /// <summary>256 bytes: the products of a factor with every byte.</summary>
    public static ReadOnlySpan<byte> ProductsOf(byte factor) => Products.AsSpan(factor * Order, Order);

    public static byte Multiply(byte a, byte b) => Products[(a * Order) + b];

    /// <summary>0 to the power of 0 is 1.</summary>
    public static byte Power(byte a, int exponent)
    {
        byte power = 1;
        for (var i = 0; i < exponent; i++) power = Multiply(power, a);
        return power;
    }

    /// <exception cref="DivideByZeroException">Zero has no inverse.</exception>
    public static byte Inverse(byte a)
    {
        var at = ProductsOf(a).IndexOf((byte)1);
        return at < 0 ? throw new DivideByZeroException() : (byte)at;
    }

    private static byte[] MakeProducts()
    {
        var products = new byte[Order * Order];
        for (var a = 0; a < Order; a++)
        {
            for (var b = 0; b < Order; b++)
            {
                var (product, shifted) = (0, a);
                for (var bits = b; bits != 0; bits >>= 1)
                {
                    if ((bits & 1) != 0) product ^= shifted;
                    shifted <<= 1;
                    if (shifted >= Order) shifted ^= Polynomial;
                }
                products[(a * Order) + b] = (byte)product;
            }
        }
        return products;
    }
}
