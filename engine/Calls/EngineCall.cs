namespace DarkStorage.Engine;

/// <summary>A turn that the engine itself asks an activation for.</summary>
internal abstract class EngineCall<T> : Call<T>
{
    public override void CopyArguments(CopyContext context)
    {
    }

    public override void WriteArguments(WireWriter writer)
    {
    }

    public override void ReadArguments(WireReader reader)
    {
    }
}
